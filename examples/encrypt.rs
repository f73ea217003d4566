//! Encrypt files, one file a task, in the format of Python's `cryptography.fernet`: `file.txt` becomes `file.txt.enc`.
//!
//! `encrypt [KEYFILE FILE...]`: the key is read from KEYFILE, or made and put there if that does not exist.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeEncrypt, KeyIvInit};
use hmac::{Hmac, KeyInit, Mac};
use procession::Pool;
use sha2::Sha256;
use tempfile::NamedTempFile;

/// One half signs, the other encrypts.
type Key = [u8; 32];

/// A token as in the [specification](https://github.com/fernet/spec/blob/master/Spec.md): 0x80, the time, a random start
/// value, the text by AES-128-CBC, and an HMAC over all of it.
fn fernet(key: &Key, text: &[u8]) -> Result<String, Box<dyn Error>> {
    let (signing, encryption) = key.split_at(16);
    let mut start = [0; 16];
    getrandom::fill(&mut start)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let mut token = [&[0x80], &now.to_be_bytes()[..], &start].concat();
    let cipher = cbc::Encryptor::<aes::Aes128>::new_from_slices(encryption, &start)?;
    token.extend(cipher.encrypt_padded_vec::<Pkcs7>(text));
    let mut mac = Hmac::<Sha256>::new_from_slice(signing)?;
    mac.update(&token);
    token.extend(mac.finalize().into_bytes());
    Ok(URL_SAFE.encode(token))
}

/// The key is the same for all tasks, so it is sent once to each worker.
fn encrypt_file(key: &Key, path: PathBuf) -> Result<PathBuf, String> {
    let encrypt = || -> Result<PathBuf, Box<dyn Error>> {
        let mut target = path.clone().into_os_string();
        target.push(".enc");
        let token = fernet(key, &fs::read(&path)?)?;
        // Under its name the file appears as a whole or not at all.
        let mut file = NamedTempFile::new_in(path.parent().filter(|p| *p != "").unwrap_or(Path::new(".")))?;
        file.write_all(token.as_bytes())?;
        file.as_file().set_permissions(fs::metadata(&path)?.permissions())?;
        file.persist(&target)?;
        Ok(target.into())
    };
    encrypt().map_err(|e| format!("failed to encrypt {}: {e}", path.display()))
}

/// The key of a file that only its owner may read.
fn load_or_make_key(path: &Path) -> Result<Key, Box<dyn Error>> {
    let new = File::options().write(true).create_new(true).mode(0o600).open(path);
    if matches!(&new, Err(e) if e.kind() == io::ErrorKind::AlreadyExists) {
        let key = URL_SAFE.decode(fs::read_to_string(path)?.trim_end())?;
        return key.try_into().map_err(|_| format!("{} holds no key of 32 bytes", path.display()).into());
    }
    let mut key = Key::default();
    getrandom::fill(&mut key)?;
    writeln!(new?, "{}", URL_SAFE.encode(key))?;
    Ok(key)
}

fn main() -> Result<(), Box<dyn Error>> {
    procession::init();
    let folder = tempfile::tempdir()?;
    let mut arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if arguments.is_empty() {
        arguments = ["key", "file1.txt", "file2.txt", "file3.txt"].map(|name| folder.path().join(name)).to_vec();
        arguments[1..].iter().try_for_each(|path| fs::write(path, "quite secret\n".repeat(1000)))?;
    }
    let key = load_or_make_key(&arguments[0])?;
    for encrypted in Pool::new()?.map_with(&key, encrypt_file, arguments.split_off(1))? {
        match encrypted {
            Ok(target) => println!("Encrypted: {}", target.file_name().unwrap_or_default().display()),
            Err(problem) => println!("Left out: {problem}"),
        }
    }
    Ok(())
}
