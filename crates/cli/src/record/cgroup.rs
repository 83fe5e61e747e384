//! A run's group, as its record has it.

use std::collections::BTreeMap;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use izba_sandbox::cgroup::{Manager, Place, Unit};
use serde::{Deserialize, Serialize};

use super::Text;

/// Where the group is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Document", into = "Document")]
pub struct Cgroup(pub Place);

impl Cgroup {
    /// `None` where no group was made.
    pub fn of(place: &Place) -> Option<Self> {
        place.dirs().next().map(|_| Self(place.clone()))
    }
}

/// The same in JSON: directories, those of v1 by the newest names of their controllers.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    unified: Option<Text>,
    v1: BTreeMap<String, Text>,
    unit: Option<UnitDocument>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct UnitDocument {
    name: String,
    manager: Whose,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Whose {
    System,
    User,
}

impl TryFrom<Document> for Cgroup {
    type Error = String;

    fn try_from(document: Document) -> Result<Self, String> {
        let unit = document.unit.map(|UnitDocument { name, manager }| Unit {
            name,
            manager: match manager {
                Whose::System => Manager::System,
                Whose::User => Manager::User,
            },
        });
        let v1 = document.v1.into_iter().map(|(controller, dir)| Ok((controller.parse()?, directory(dir)?)));
        Ok(Self(Place {
            unified: document.unified.map(directory).transpose()?,
            v1: v1.collect::<Result<_, String>>()?,
            unit,
        }))
    }
}

fn directory(text: Text) -> Result<PathBuf, String> {
    let path = PathBuf::from(std::ffi::OsString::from_vec(text.0));
    if path.is_absolute() { Ok(path) } else { Err(format!("{path:?} is no absolute path")) }
}

impl From<Cgroup> for Document {
    fn from(Cgroup(place): Cgroup) -> Self {
        let text = |path: &Path| Text(path.as_os_str().as_bytes().to_vec());
        let unit = place.unit.map(|Unit { name, manager }| UnitDocument {
            name,
            manager: match manager {
                Manager::System => Whose::System,
                Manager::User => Whose::User,
            },
        });
        Self {
            unified: place.unified.as_deref().map(text),
            v1: place.v1.iter().map(|(controller, dir)| (controller.to_string(), text(dir))).collect(),
            unit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use izba_sandbox::cgroup::Controller;

    #[test]
    fn a_place_is_read_as_it_was_written() {
        let place = Place {
            unified: Some("/sys/fs/cgroup/unified/izba-web".into()),
            v1: [(Controller::Io, "/sys/fs/cgroup/blkio/izba-web".into())].into(),
            unit: Some(Unit { name: "izba-web.scope".to_owned(), manager: Manager::User }),
        };
        let document = serde_json::to_string(&Cgroup(place.clone())).unwrap();
        assert_eq!(
            document,
            "{\"unified\":\"/sys/fs/cgroup/unified/izba-web\",\"v1\":{\"io\":\"/sys/fs/cgroup/blkio/izba-web\"},\
             \"unit\":{\"name\":\"izba-web.scope\",\"manager\":\"user\"}}"
        );
        assert_eq!(serde_json::from_str::<Cgroup>(&document).unwrap(), Cgroup(place));
        for (from, to) in [("/sys/fs/cgroup/unified", "x"), ("\"io\"", "\"oi\""), ("user", "root"), ("\"v1\"", "\"v\"")]
        {
            let broken = document.replace(from, to);
            assert!(broken != document && serde_json::from_str::<Cgroup>(&broken).is_err(), "{from}");
        }
    }
}
