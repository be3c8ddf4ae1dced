//! Keys and tokens in a file, so that the same fleet returns.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, BufRead as _, BufReader, BufWriter, Write as _},
    path::{Path, PathBuf},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use mender_core::{Env, secret::Secret};
use serde::{Deserialize, Serialize};

use super::fault::Fault;

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Head {
    /// The form of the file.
    fleet: u32,
    secret: String,
}

/// What is known of a device.
#[derive(Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Known {
    pub(crate) number: u32,
    pub(crate) runs: String,
    pub(crate) token: String,
}

/// A file of keys and tokens: one line for the fleet, one for each device.
#[derive(Debug)]
pub(crate) struct Kept {
    path: PathBuf,
    pub(crate) secret: [u8; 32],
}

fn fault(path: &Path) -> impl Fn(String) -> Fault {
    let path = path.to_owned();
    move |why| Fault::Kept { path: path.clone(), why }
}

/// Reads the secret of a fleet.
fn secret(line: &str) -> Result<[u8; 32], String> {
    let head: Head = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let bytes = BASE64_STANDARD.decode(Secret::new(head.secret).expose());
    let bytes = bytes.ok().and_then(|bytes| bytes.try_into().ok());
    bytes.filter(|_| head.fleet == 1).ok_or_else(|| "it is of another version".into())
}

/// The devices of a file by number.
pub(crate) type Devices = BTreeMap<u32, Known>;

/// Reads the secret of a fleet and its devices; none: there is no such file.
fn read(path: &Path) -> Result<Option<([u8; 32], Devices)>, Fault> {
    let fault = fault(path);
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fault(error.to_string())),
    };
    let mut lines = BufReader::new(file).lines();
    let wrong = |number: usize, why: String| fault(format!("line {number}: {why}"));
    let first = lines.next().unwrap_or_else(|| Ok(String::new()));
    let first = first.map_err(|error| fault(error.to_string()))?;
    let secret = secret(&first).map_err(|why| wrong(1, why))?;
    let mut devices = Devices::new();
    for (n, line) in lines.enumerate() {
        let line = line.map_err(|error| fault(error.to_string()))?;
        let known: Known = serde_json::from_str(&line).map_err(|e| wrong(n + 2, e.to_string()))?;
        devices.insert(known.number, known);
    }
    Ok(Some((secret, devices)))
}

impl Kept {
    /// Opens a file, which is made where there is none, and returns the devices in it.
    pub(crate) fn open(path: &Path, env: &Env) -> Result<(Self, Devices), Fault> {
        if let Some((secret, devices)) = read(path)? {
            return Ok((Self { path: path.into(), secret }, devices));
        }
        let kept = Self { path: path.into(), secret: env.bytes() };
        // Before any device is accepted: a fleet that ends early must return as well.
        kept.save([].into_iter())?;
        Ok((kept, Devices::new()))
    }

    /// Writes down devices. Others that the file has stay: they are not of this run, or of a part
    /// of it that broke.
    pub(crate) fn save(&self, devices: impl Iterator<Item = Known>) -> Result<(), Fault> {
        let fault = fault(&self.path);
        let mut all = match read(&self.path)? {
            Some((secret, _)) if secret != self.secret => {
                return Err(fault("it became another fleet's meanwhile".into()));
            }
            Some((_, all)) => all,
            None => Devices::new(),
        };
        all.extend(devices.map(|known| (known.number, known)));
        let mut beside = self.path.clone().into_os_string();
        beside.push(".new");
        let beside = PathBuf::from(beside);
        let written =
            self.write(&beside, all.values()).and_then(|()| fs::rename(&beside, &self.path));
        written.map_err(|error| fault(error.to_string()))
    }

    fn write<'a>(&self, path: &Path, all: impl Iterator<Item = &'a Known>) -> io::Result<()> {
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = BufWriter::new(options.open(path)?);
        let head = Head { fleet: 1, secret: BASE64_STANDARD.encode(self.secret) };
        serde_json::to_writer(&mut file, &head)?;
        for known in all {
            file.write_all(b"\n")?;
            serde_json::to_writer(&mut file, known)?;
        }
        file.write_all(b"\n")?;
        file.into_inner()?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(number: u32) -> Known {
        Known { number, runs: "r".into(), token: "t".into() }
    }

    fn devices(all: impl IntoIterator<Item = Known>) -> Devices {
        all.into_iter().map(|known| (known.number, known)).collect()
    }

    #[test]
    fn a_fleet_returns_as_it_was_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fleet");
        let (kept, none) = Kept::open(&path, &Env::system()).unwrap();
        assert!(none.is_empty());
        kept.save([known(1), known(7)].into_iter()).unwrap();
        let (again, all) = Kept::open(&path, &Env::system()).unwrap();
        assert_eq!((again.secret, all), (kept.secret, devices([known(1), known(7)])));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn who_is_written_down_takes_nobody_away() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fleet");
        let (kept, _) = Kept::open(&path, &Env::system()).unwrap();
        kept.save([known(1), known(7)].into_iter()).unwrap();
        let new = Known { runs: "new".into(), ..known(7) };
        kept.save([known(3), new].into_iter()).unwrap();
        let (_, all) = Kept::open(&path, &Env::system()).unwrap();
        let new = Known { runs: "new".into(), ..known(7) };
        assert_eq!(all, devices([known(1), known(3), new]));
        // Nor does who lost the file to another fleet.
        fs::remove_file(&path).unwrap();
        Kept::open(&path, &Env::system()).unwrap();
        let refused = kept.save([known(1)].into_iter()).unwrap_err().to_string();
        assert!(refused.contains("another fleet's"), "{refused}");
    }

    #[test]
    fn other_files_are_refused_and_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fleet");
        for text in ["", "hello\n", "{\"fleet\":2,\"secret\":\"\"}\n"] {
            fs::write(&path, text).unwrap();
            let refused = Kept::open(&path, &Env::system()).unwrap_err().to_string();
            assert!(refused.contains("fleet: line 1: "), "{refused}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert!(Kept::open(dir.path(), &Env::system()).is_err());
    }
}
