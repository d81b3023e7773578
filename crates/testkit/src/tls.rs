use std::path::Path;
use std::process::Command;

/// The certificate of the authority, as [`certify`] names it.
pub const AUTHORITY: &str = "authority.pem";
/// The server's certificate.
pub const CERTIFICATE: &str = "server.pem";
/// The server's key.
pub const KEY: &str = "server.key";

/// Makes an authority in a directory, and a certificate of its for a name, as in `IP:127.0.0.1` or `DNS:example.org`.
pub fn certify(directory: &Path, name: &str) {
    // Two authorities of one name would be told apart by their keys alone.
    let authority = directory.file_name().unwrap_or_default().display();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    let commands = [
        format!("req -x509 {key} -keyout authority.key -out {AUTHORITY} -days 2 -subj /CN={authority}"),
        format!("req {key} -keyout {KEY} -out request.pem -subj /CN=server -addext subjectAltName={name}"),
        format!(
            "x509 -req -in request.pem -copy_extensions copy -CA {AUTHORITY} -CAkey authority.key -days 2 \
             -out {CERTIFICATE}"
        ),
    ];
    for command in commands {
        let done = Command::new("openssl").args(command.split(' ')).current_dir(directory).output();
        let done = done.unwrap_or_else(|fault| panic!("openssl: {fault}: run scripts/install-packages"));
        assert!(done.status.success(), "openssl {command}: {}", String::from_utf8_lossy(&done.stderr));
    }
}
