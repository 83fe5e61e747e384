//! From what was asked for to the [`Sandbox`]: every option gets its meaning here, and what doesn't fit together is refused.

pub mod capability;
pub mod disk;
pub mod environment;
pub mod exec;
pub mod file;
pub mod group;
pub mod identity;
pub mod kept;
pub mod limit;
pub mod memory;
pub mod mount;
pub mod namespace;
pub mod nsenter;
pub mod process;
pub mod root;
pub mod unshare;

use std::ffi::CString;
use std::path::Path;

use izba_sandbox::account::{Account, UserSpec};
use izba_sandbox::namespace::Kind;
use izba_sandbox::rootfs::SystemMounts;
use izba_sandbox::sandbox::{Sandbox, Sysctl};

use crate::args::run::RunArgs;
use crate::caller::Caller;
use crate::failure::{Failure, Result};
use identity::Identity;
use root::Ground;

/// The host name where none is asked for: short, and a prompt that shows it says where one is.
const HOSTNAME: &str = "izba";

/// The intent, and what the user should know about it.
#[derive(Debug)]
pub struct Lowered {
    pub sandbox: Sandbox,
    /// What the program's user is called.
    pub user: Option<String>,
    pub notes: Vec<String>,
}

/// Gives the options their meaning. Of the root file system its users are read; sources of bind mounts are looked at.
pub fn lower(args: &RunArgs, caller: &Caller, identity: &Identity, ground: &Ground) -> Result<Lowered> {
    let mut notes = Vec::new();
    let account = ground.accounts()?.find(args.ids.user.as_ref().unwrap_or(&UserSpec::ROOT));
    let mut account = account.map_err(|error| Failure::from_error(&error))?;
    let user = identity.namespace(caller, &account.ids, ground.is_host())?;
    let namespaces = namespace::lower(args, caller, user)?;
    identity::fit_groups(&mut account.ids, &namespaces.user, &mut notes);
    let environment = environment::lower(&args.process, caller, &account)?;
    let mounts = mount::lower(args, caller, &namespaces)?;
    let names_host = namespaces.is_new(Kind::Uts);
    let hostname = args.namespaces.hostname.clone().or_else(|| names_host.then(|| HOSTNAME.to_owned()));
    let files = if provides_files(args, ground) {
        file::provided(&namespaces, hostname.as_deref(), &mounts)
    } else {
        Vec::new()
    };
    let sandbox = Sandbox {
        root: ground.lower(&args.root, home(&account), (account.ids.uid, account.ids.gid))?,
        no_pivot: args.root.no_pivot,
        system: system_mounts(args, ground),
        mounts,
        files,
        hostname: hostname.map(c_string).transpose()?,
        domainname: args.namespaces.domainname.clone().map(c_string).transpose()?,
        sysctls: sysctls(args, &namespaces)?,
        cgroup: group::lower(&args.group, caller, args.name.as_ref(), limit::lower(&args.limits)?)?,
        requires: None,
        handed_out: Vec::new(),
        process: process::lower(args, &account, &environment)?,
        namespaces,
    };
    Ok(Lowered { sandbox, user: account.name, notes })
}

fn home(account: &Account) -> Option<&Path> {
    account.home.as_deref()
}

/// A system under repair keeps its own files, and where nothing is mounted none can be laid over.
fn provides_files(args: &RunArgs, ground: &Ground) -> bool {
    !args.root.repair && !matches!(ground, Ground::Caller { .. })
}

fn system_mounts(args: &RunArgs, ground: &Ground) -> SystemMounts {
    match ground {
        Ground::Caller { .. } => SystemMounts::None,
        _ if args.root.repair => SystemMounts::Caller,
        _ => SystemMounts::Private,
    }
}

/// A setting of a namespace that isn't new would change somebody else's.
fn sysctls(args: &RunArgs, namespaces: &izba_sandbox::namespace::Namespaces) -> Result<Vec<Sysctl>> {
    let settings = args.namespaces.sysctls.iter();
    settings
        .map(|setting| {
            if namespaces.is_new(setting.kind) {
                return Ok(setting.sysctl.clone());
            }
            let (name, kind) = (setting.sysctl.path.replace('/', "."), setting.kind);
            Err(Failure::new(format!("--sysctl {name}: it belongs to the {kind} namespace, which isn't a new one"))
                .remedy(new_namespace_remedy(kind)))
        })
        .collect()
}

fn new_namespace_remedy(kind: Kind) -> String {
    match kind {
        Kind::User => "--userns".to_owned(),
        kind => format!("leave out --share {kind} or --join {kind}=..."),
    }
}

/// For text whose parser has refused NUL bytes, or where the kernel can't have given one.
pub fn c_string(text: impl Into<Vec<u8>>) -> Result<CString> {
    CString::new(text).map_err(|error| {
        let start = String::from_utf8_lossy(&error.clone().into_vec()).into_owned();
        Failure::new(format!("{start:?} holds a NUL byte"))
    })
}
