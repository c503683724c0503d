//! Files of secrets: `--password-file`, `--cluster-secret-file`, and keys.
//!
//! The secrets are not checked here (the wire crate and the cluster crate do that) and are never printed. Called by `service` and
//! `cluster`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::error::Error;
use crate::stderr::say;

/// Reads the first line of --password-file, without its line end.
pub(crate) fn read(path: &Path) -> Result<String, Error> {
    first_line(path, "--password-file", "write the password of root@sys into it, or leave the flag out to have none")
}

/// Reads the first line of the file that a flag names, without its line end. Warns when other users can read the file.
pub(crate) fn first_line(path: &Path, flag: &str, hint: &str) -> Result<String, Error> {
    let text = String::from_utf8(bytes(path, flag)?);
    let text = text.map_err(|_| Error::usage(format!("{flag} '{}' is not text", path.display())).hint(hint))?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err(Error::usage(format!("the first line of {flag} '{}' is empty", path.display())).hint(hint)),
    }
}

/// Reads the file that a flag names. Warns when other users can read it.
pub(crate) fn bytes(path: &Path, flag: &str) -> Result<Vec<u8>, Error> {
    let name = path.display();
    let bytes = fs::read(path).map_err(|error| Error::usage(format!("cannot read {flag} '{name}': {error}")))?;
    if let Ok(metadata) = fs::metadata(path)
        && metadata.permissions().mode() & 0o077 != 0
    {
        say!("warning: {flag} '{name}' can be read by others (hint: chmod 600 {name})");
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Result<String, Error> {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("password");
        fs::write(&path, text).expect("written");
        read(&path)
    }

    #[test]
    fn the_first_line_without_its_end() {
        assert_eq!(password("secret\n").expect("a password"), "secret");
        assert_eq!(password("secret\r\nsecond\n").expect("a password"), "secret");
        assert_eq!(password(" with blanks ").expect("a password"), " with blanks ");
    }

    #[test]
    fn an_empty_one_is_an_error() {
        for text in ["", "\n", "\nsecret\n"] {
            assert!(password(text).is_err(), "{text:?}");
        }
    }
}
