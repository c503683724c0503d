//! Quoting for a POSIX shell.
//!
//! Output that is meant to be pasted or evaluated is quoted here. Called by `verbs::env`, the banner and hints.

/// Returns a word that every POSIX shell reads back as `text`.
pub(crate) fn quote(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=@%+,".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn plain_words_stay() {
        assert_eq!(quote("/dev/shm/heapql-0"), "/dev/shm/heapql-0");
    }

    #[test]
    fn a_shell_reads_it_back() {
        for text in ["", "a b", "it's", "$HOME `id` \\ \"x\"", "a\nb", "*", "~", "ü", "a;b&c"] {
            let script = format!("printf %s {}", quote(text));
            let read = Command::new("sh").arg("-c").arg(script).output().expect("a shell");
            assert_eq!(String::from_utf8_lossy(&read.stdout), text);
        }
    }
}
