//! `--password-file`: the password of root@sys.
//!
//! It is not checked here (the wire does challenge and response) and never printed. Called by `service`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::error::Error;
use crate::talk::say;

/// The first line, without its end. Warns when others may read the file.
pub(crate) fn read(path: &Path) -> Result<String, Error> {
    let name = path.display();
    let text = fs::read_to_string(path)
        .map_err(|error| Error::usage(format!("cannot read --password-file '{name}': {error}")))?;
    let password = text.lines().next().unwrap_or_default();
    if password.is_empty() {
        return Err(Error::usage(format!("the first line of --password-file '{name}' is empty"))
            .hint("write the password of root@sys into it, or leave the flag out to have none"));
    }
    if let Ok(metadata) = fs::metadata(path)
        && metadata.permissions().mode() & 0o077 != 0
    {
        say!("warning: --password-file '{name}' can be read by others (hint: chmod 600 {name})");
    }
    Ok(password.to_owned())
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
