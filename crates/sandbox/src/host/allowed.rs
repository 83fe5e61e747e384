//! What of the host may be seen in an assembled root.

/// Where programs are. On most hosts all but /usr are links into it; NixOS and Guix keep programs in a store.
pub(super) const PROGRAMS: [&str; 12] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/libo32",
    "/nix/store",
    "/gnu/store",
    "/run/current-system",
    "/run/opengl-driver",
];

/// What is taken of /usr/local. A star stands for the rest of a name.
pub(super) const LOCAL: [&str; 11] =
    ["bin", "cuda*", "games", "go", "include", "lib*", "man", "sbin", "share", "src", "texlive"];

/// What is taken of /etc, if everybody may read it. Left out on purpose: shadow files and keys; machine-id, which names
/// the machine; hosts, hostname and resolv.conf, which are the sandbox's own; and what may hold passwords of proxies and
/// registries: environment, gitconfig, wgetrc, pip.conf, npmrc, apt, maven.
pub(super) const ETC: [&str; 45] = [
    // Accounts: getpwnam(3) and its like.
    "passwd",
    "group",
    "nsswitch.conf",
    "shells",
    "login.defs",
    // The loader: ld.so(8), and musl's.
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "ld-musl-*",
    // Which of several programs a name means, and what programs of /usr have links to.
    "alternatives",
    "java-*",
    "python3.*",
    // Certificates that are trusted, never the directories called private.
    "ca-certificates",
    "crypto-policies",
    "pki/ca-trust/extracted",
    "pki/java",
    "pki/tls/cert.pem",
    "pki/tls/certs",
    "pki/tls/openssl.cnf",
    "ssl/ca-bundle.pem",
    "ssl/cert.pem",
    "ssl/certs",
    "ssl/openssl.cnf",
    // Time and language.
    "localtime",
    "timezone",
    "locale.conf",
    // Shells and terminals.
    "DIR_COLORS*",
    "bash.bashrc",
    "bashrc",
    "inputrc",
    "profile",
    "profile.d",
    "terminfo",
    "zsh*",
    // Names of the network: getservbyname(3) and its like.
    "gai.conf",
    "host.conf",
    "iproute2",
    "protocols",
    "services",
    // Kinds of file, fonts, manuals.
    "mime.types",
    "fonts",
    "manpath.config",
    // Which system this is: os-release(5).
    "debian_version",
    "os-release",
    "*-release",
];

/// The same outside /etc and /usr: /etc/ssl/certs is a link to here on openSUSE; /etc on NixOS is links into /etc/static.
pub(super) const ELSEWHERE: [&str; 3] = ["/etc/mtab", "/etc/static", "/var/lib/ca-certificates"];

/// Does a name match a pattern, in which one star, first or last, stands for anything?
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    match (pattern.strip_suffix('*'), pattern.strip_prefix('*')) {
        (Some(start), _) => name.starts_with(start),
        (_, Some(end)) => name.ends_with(end),
        _ => name == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_the_rest() {
        for (pattern, name, expected) in [
            ("java-*", "java-17-openjdk", true),
            ("java-*", "java", false),
            ("*-release", "redhat-release", true),
            ("passwd", "passwd-", false),
            ("passwd", "passwd", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn no_secret_is_allowed() {
        for name in ["shadow", "gshadow", "shadow-", "passwd-", "ssh", "machine-id", "sudoers", "gitconfig", "hosts"] {
            assert!(!ETC.iter().any(|pattern| matches(pattern, name)), "{name}");
        }
    }
}
