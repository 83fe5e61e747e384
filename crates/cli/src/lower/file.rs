//! Files that izba lays over the root: /etc/hosts, /etc/hostname, /etc/resolv.conf.

use std::io::Read;
use std::path::Path;

use izba_sandbox::namespace::{Kind, Namespaces};
use izba_sandbox::rootfs::Mount;
use izba_sandbox::sandbox::ProvidedFile;

/// More than anybody's list of name servers, and of hosts.
const LONGEST: u64 = 1 << 20;

/// The files that make the host name and the host's network work inside. Where the user mounts something, nothing is
/// laid over it.
pub fn provided(namespaces: &Namespaces, hostname: Option<&str>, mounts: &[Mount]) -> Vec<ProvidedFile> {
    let shares_network = namespaces.is_shared(Kind::Net);
    let mut files = Vec::new();
    if let Some(hostname) = hostname {
        // Programs on the host's network expect the names that the host knows.
        let known = if shares_network { read("/etc/hosts") } else { Vec::new() };
        files.push(file("/etc/hosts", hosts(hostname, &known)));
        files.push(file("/etc/hostname", format!("{hostname}\n").into_bytes()));
    }
    if shares_network {
        // A copy: the host's may be a link into /run.
        files.push(file("/etc/resolv.conf", read("/etc/resolv.conf")));
    }
    files.retain(|file| !file.content.is_empty() && !mounts.iter().any(|mount| file.path.starts_with(&mount.target)));
    files
}

fn file(path: &str, content: Vec<u8>) -> ProvidedFile {
    ProvidedFile { path: path.into(), content }
}

/// As Debian writes it: the own name is at 127.0.1.1, so that it is known without a network and isn't `localhost`.
fn hosts(hostname: &str, known: &[u8]) -> Vec<u8> {
    let own = if hostname == "localhost" { String::new() } else { format!("127.0.1.1\t{hostname}\n") };
    if known.is_empty() {
        return format!("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n{own}").into_bytes();
    }
    let newline: &[u8] = if known.ends_with(b"\n") { b"" } else { b"\n" };
    [known, newline, own.as_bytes()].concat()
}

/// A file of the host's; what can't be read is empty.
fn read(path: impl AsRef<Path>) -> Vec<u8> {
    let mut content = Vec::new();
    match std::fs::File::open(path).and_then(|file| file.take(LONGEST).read_to_end(&mut content)) {
        Ok(_) => content,
        Err(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use izba_sandbox::rootfs::MountSource;
    use izba_sys::mount::MountAttributes;

    fn paths(namespaces: &Namespaces, hostname: Option<&str>, mounts: &[Mount]) -> Vec<String> {
        let files = provided(namespaces, hostname, mounts);
        files.into_iter().map(|file| file.path.display().to_string()).collect()
    }

    #[test]
    fn the_own_name_is_known() {
        let text = String::from_utf8(hosts("box", b"")).unwrap();
        assert!(
            text.contains("127.0.0.1\tlocalhost\n") && text.contains("::1\t") && text.ends_with("127.0.1.1\tbox\n")
        );
        assert_eq!(hosts("box", b"10.0.0.1 db"), b"10.0.0.1 db\n127.0.1.1\tbox\n");
        assert!(!String::from_utf8(hosts("localhost", b"")).unwrap().contains("127.0.1.1"));
    }

    #[test]
    fn name_servers_come_with_the_hosts_network() {
        let isolated = Namespaces::isolated();
        assert_eq!(paths(&isolated, Some("box"), &[]), ["/etc/hosts", "/etc/hostname"]);
        assert!(paths(&isolated, None, &[]).is_empty());
    }

    #[test]
    fn what_the_user_mounts_stays_on_top() {
        let source = MountSource::Bind { path: "/x".into(), directory: false, recursive: true, idmap: false };
        let mount = |target: &str| Mount {
            target: target.into(),
            source: source.clone(),
            attributes: MountAttributes::empty(),
        };
        assert_eq!(paths(&Namespaces::isolated(), Some("box"), &[mount("/etc/hosts")]), ["/etc/hostname"]);
        assert!(paths(&Namespaces::isolated(), Some("box"), &[mount("/etc")]).is_empty());
    }
}
