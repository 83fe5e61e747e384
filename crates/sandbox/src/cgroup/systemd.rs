//! Scopes of systemd, over D-Bus: the systemd driver.
