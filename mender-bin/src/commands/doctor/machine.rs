//! What is checked without the database.

use std::{
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use mender_core::{Env, Time};
use mender_http::serve::{Tls, TlsFiles};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};

use super::{Ill, ill};
use crate::{
    keys,
    settings::{Server, Settings},
};

/// What opens files besides connections: the database, artifacts, logs, the runtime.
const OTHERS: usize = 256;

/// A certificate that ends sooner should have been replaced by now.
const SOON: Duration = Duration::from_secs(14 * 86_400);

/// Checks the certificate of a listener; `None` where it has none.
pub(super) fn tls(
    cert: Option<&PathBuf>,
    key: Option<&PathBuf>,
    authority: Option<&PathBuf>,
) -> Option<Result<String, Ill>> {
    let (certificate, key) = (cert?.clone(), key?.clone());
    let files = TlsFiles {
        certificate: certificate.clone(),
        key: key.clone(),
        client_authority: authority.cloned(),
    };
    let shown = key.display();
    Some(match (Tls::load(files), keys::is_exposed(&key)) {
        (Err(error), _) => {
            ill(&error, "name PEM files that this user may read, with a key that fits")
        }
        (Ok(_), Ok(true)) => {
            ill(&format!("others can read or change {shown}"), format!("chmod 600 {shown}"))
        }
        (Ok(_), _) => expiry(&certificate, Env::system().now()),
    })
}

/// Checks that the files of an embedded database, which has passwords, are nobody else's; `None`:
/// there is none.
pub(super) fn database_files(server: &Server) -> Option<Result<String, Ill>> {
    let url = server.database_url();
    let path = Path::new(url.0.strip_prefix("sqlite://")?);
    let mode = |path: &Path| path.metadata().map_or(0, |meta| meta.mode());
    let folder = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    if !path.exists() {
        return None;
    }
    let enters = mode(folder);
    if enters & 0o002 != 0 {
        let shown = folder.display();
        let what = format!("everybody can replace what is in the folder {shown}");
        return Some(ill(&what, format!("chmod 700 {shown}")));
    }
    // Whom the folder keeps out, the files need not. Groups may read, where an operator says so.
    let others = if enters & 0o001 != 0 { 0o006 } else { 0 };
    let group = if enters & 0o010 != 0 { 0o020 } else { 0 };
    let file = |end: &str| {
        let mut path = path.as_os_str().to_owned();
        path.push(end);
        PathBuf::from(path)
    };
    let exposed = ["", "-wal", "-shm"].map(file).into_iter();
    let exposed = exposed.filter(|path| mode(path) & (others | group) != 0);
    let exposed: Vec<_> = exposed.map(|path| path.display().to_string()).collect();
    Some(match exposed.is_empty() {
        true => Ok("others can neither read nor change them".to_owned()),
        false => {
            let exposed = exposed.join(" ");
            ill(&format!("others can read or change {exposed}"), format!("chmod 600 {exposed}"))
        }
    })
}

/// Checks that no certificate of the chain ends soon.
fn expiry(path: &Path, now: Time) -> Result<String, Ill> {
    let chain = CertificateDer::pem_file_iter(path).into_iter().flatten().flatten();
    let Some(end) = chain.filter_map(|one| not_after(&one)).min() else {
        return Ok("its key fits".into());
    };
    if end > now + SOON {
        return Ok(format!("its key fits; valid until {end}"));
    }
    let what = if end > now { "ends" } else { "has ended" };
    let mend = "renew it: the server reads it again by itself";
    ill(&format!("{} {what} at {end}", path.display()), mend)
}

/// Returns the end of a certificate's validity, from its DER form.
fn not_after(certificate: &[u8]) -> Option<Time> {
    const VERSION: u8 = 0xa0;
    const UTC_TIME: u8 = 0x17;
    let (_, certificate, _) = element(certificate)?;
    let (_, mut fields, _) = element(certificate)?;
    if fields.first() == Some(&VERSION) {
        (_, _, fields) = element(fields)?;
    }
    for _serial_algorithm_issuer in 0..3 {
        (_, _, fields) = element(fields)?;
    }
    let (_, validity, _) = element(fields)?;
    let (_, _, end) = element(validity)?;
    let (tag, digits, _) = element(end)?;
    let digits = std::str::from_utf8(digits).ok()?;
    let century = match tag {
        UTC_TIME if digits < "50" => "20",
        UTC_TIME => "19",
        _ => "",
    };
    let all = format!("{century}{digits}");
    let (year, rest) = all.split_at_checked(4)?;
    let two = |at: usize| rest.get(2 * at..2 * at + 2);
    let (month, day, hour, minute, second) = (two(0)?, two(1)?, two(2)?, two(3)?, two(4)?);
    format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z").parse().ok()
}

/// Splits DER into the tag and the content of the first element, and what follows.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, short], rest) = der.split_first_chunk()?;
    let (length, rest) = match short {
        0..0x80 => (usize::from(short), rest),
        _ => {
            let (bytes, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
            let wide = |sum: usize, byte: &u8| Some(sum.checked_mul(256)? + usize::from(*byte));
            (bytes.iter().try_fold(0, wide)?, rest)
        }
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// Checks that links lead back to the server, where it can't guess its own address.
pub(super) fn public_url(settings: &Settings) -> Option<Result<String, Ill>> {
    let server = &settings.server;
    let why = match (server.tls_cert.is_some(), settings.auth.multi_tenant) {
        (true, _) => "tls_cert is set",
        (_, true) => "multi_tenant is on",
        _ => return server.public_url.as_ref().map(|url| Ok(url.0.clone())),
    };
    Some(match &server.public_url {
        Some(url) if server.tls_cert.is_some() && url.0.starts_with("http://") => ill(
            &format!("{} is not encrypted, and tls_cert is set", url.0),
            "begin public_url with https://",
        ),
        Some(url) => Ok(url.0.clone()),
        None => ill(
            &format!("it is not set, and {why}"),
            "set public_url to the URL that devices and users reach the server by",
        ),
    })
}

/// Checks that as many files may be open as there may be connections; `None` where the system
/// does not say.
pub(super) fn open_files(server: &Server) -> Option<Result<String, Ill>> {
    let limits = std::fs::read_to_string(Path::new("/proc/self/limits")).ok()?;
    Some(enough(hard_limit(&limits)?, server.max_connections))
}

/// Returns how many files may be open once the server has raised its own limit as far as it
/// may; `usize::MAX` for any number.
fn hard_limit(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().nth(1)? {
        "unlimited" => Some(usize::MAX),
        number => number.parse().ok(),
    }
}

fn enough(limit: usize, connections: usize) -> Result<String, Ill> {
    let needed = connections.saturating_add(OTHERS);
    if limit >= needed {
        return Ok(match limit {
            usize::MAX => "any number".into(),
            limit => format!("{limit}, enough for {connections} connections"),
        });
    }
    ill(
        &format!("{limit} are too few for max_connections, which is {connections}"),
        format!(
            "raise the limit of the server to {needed} or more (ulimit -n, or LimitNOFILE of \
             systemd), or lower max_connections"
        ),
    )
}

#[cfg(test)]
mod tests {
    use clap::Command;

    use super::*;
    use crate::settings;

    fn settings(args: &[&str]) -> Settings {
        let flags = settings::flags(Command::new("x")).get_matches_from([&["x"], args].concat());
        Settings::load(&flags, [], &[]).unwrap().0
    }

    #[test]
    fn the_most_open_files_are_read() {
        let limits = "Limit   Soft Limit  Hard Limit  Units\n\
                      Max open files            1024                 524288               files\n";
        assert_eq!(hard_limit(limits), Some(524_288));
        assert_eq!(hard_limit("Max open files   unlimited  unlimited files"), Some(usize::MAX));
        assert_eq!(hard_limit(""), None);
        assert!(enough(1024, 10_000).is_err() && enough(1024, 768).is_ok());
        assert!(enough(usize::MAX, usize::MAX).is_ok());
    }

    #[test]
    fn links_need_a_url_where_the_server_cannot_guess_it() {
        assert!(public_url(&settings(&[])).is_none());
        assert!(public_url(&settings(&["--multi-tenant"])).unwrap().is_err());
        let named = settings(&["--multi-tenant", "--public-url=https://a"]);
        assert_eq!(public_url(&named).unwrap().unwrap(), "https://a");
        let tls = ["--tls-cert=a", "--tls-key=b"];
        assert!(public_url(&settings(&tls)).unwrap().is_err());
        let plain = settings(&[&tls[..], &["--public-url=http://a"]].concat());
        assert!(public_url(&plain).unwrap().is_err());
    }

    #[test]
    fn a_certificate_that_ends_soon_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cert.pem");
        let key = rcgen::KeyPair::generate().unwrap();
        for year in [2030, 2060] {
            let mut params = rcgen::CertificateParams::new(["a".to_owned()]).unwrap();
            params.not_after = rcgen::date_time_ymd(year, 2, 3);
            std::fs::write(&path, params.self_signed(&key).unwrap().pem()).unwrap();
            let at = |date: &str| format!("{year}-{date}Z").parse::<Time>().unwrap();
            let fine = expiry(&path, at("01-03T00:00:00")).unwrap();
            assert_eq!(fine, format!("its key fits; valid until {year}-02-03T00:00:00Z"));
            let soon = expiry(&path, at("02-02T00:00:00")).unwrap_err().what;
            assert!(soon.ends_with(&format!("ends at {year}-02-03T00:00:00Z")), "{soon}");
            let over = expiry(&path, at("02-03T00:00:01")).unwrap_err().what;
            assert!(over.contains("has ended"), "{over}");
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_end() {
        let made = rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap();
        let der = made.cert.der();
        assert!(not_after(der).is_some());
        for length in 0..der.len() {
            assert_eq!(not_after(&der[..length]), None);
        }
    }

    #[test]
    fn a_certificate_that_cannot_be_read_is_named() {
        assert!(tls(None, None, None).is_none());
        let nowhere = PathBuf::from("/nowhere.pem");
        let said = tls(Some(&nowhere), Some(&nowhere), None).unwrap().unwrap_err();
        assert!(said.what.contains("/nowhere.pem"), "{}", said.what);
    }
}
