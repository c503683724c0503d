//! Mutual TLS between servers, with certificates made by the openssl commands of docs/how-to/cluster.md.

use std::path::Path;
use std::process::Command;

use super::*;
use crate::TlsFiles;

/// Makes an authority and a certificate in a directory.
fn certificates(folder: &Path) -> TlsFiles {
    let run = |line: &str| {
        let made = Command::new("openssl").args(line.split_whitespace()).current_dir(folder).output().expect("openssl");
        assert!(made.status.success(), "openssl {line}: {}", String::from_utf8_lossy(&made.stderr));
    };
    fs::write(folder.join("names"), "subjectAltName=DNS:heapql\nextendedKeyUsage=serverAuth,clientAuth\n")
        .expect("written");
    run(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=authority -keyout ca.key -out ca.pem",
    );
    run("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=heapql -keyout server.key -out server.csr");
    run("x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile names -out server.pem");
    let read = |name: &str| fs::read(folder.join(name)).expect(name);
    TlsFiles { certificate: read("server.pem"), key: read("server.key"), authority: read("ca.pem") }
}

#[test]
fn both_sides_show_a_certificate_of_the_same_authority() {
    let folders = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
    let [good, other] = [0, 1].map(|at| certificates(folders[at].path()));
    let start = |number, tls: Option<&TlsFiles>, peer: Option<&Host>| {
        Host::start(number, |config| {
            config.tls = tls.cloned();
            config.peers = peer.iter().map(|peer| peer.address.to_string()).collect();
        })
    };
    let one = start(1, Some(&good), None);
    let two = start(2, Some(&good), Some(&one));
    see_each_other(&[&one, &two]);
    one.set(&[(MIN, "23")]);
    eventually("parameters go through it", || two.value(MIN).as_deref() == Some("23"));
    for tls in [None, Some(&other)] {
        let stranger = start(3, tls, Some(&one));
        assert!(stranger.add(&one).is_err() && one.add(&stranger).is_err());
        assert_eq!(stranger.members(), [stranger.address]);
    }
    see_each_other(&[&one, &two]);
}

#[test]
fn certificates_that_are_none_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = certificates(folder.path());
    assert_eq!(good.check(), Ok(()));
    let bad = [
        TlsFiles { certificate: b"nonsense".to_vec(), ..good.clone() },
        TlsFiles { key: good.certificate.clone(), ..good.clone() },
        TlsFiles { authority: Vec::new(), ..good },
    ];
    for tls in bad {
        assert!(tls.check().is_err());
    }
}
