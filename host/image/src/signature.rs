//! Signatures of images: Ed25519, in OpenSSH's form.
//!
//! People who sign things have such keys, and `ssh-keygen` to make, keep and use them; so there is no key format of our own and no
//! tool for it. A signature is what `ssh-keygen -Y sign -n ampoule -f KEY web.img` writes (SSHSIG, OpenSSH's PROTOCOL.sshsig): a text file
//! `web.img.sig` beside the image, over all bytes of the image's file. It lies beside the image and not in it, so that signing
//! changes neither the image nor its digest, several people can sign one image, and a build can be repeated by who has
//! no key. `ssh-keygen -Y verify` reads ours, and we read its.
//!
//! Who may sign is said by a file of public keys: lines of an `allowed_signers` file, or of `authorized_keys`, or a `.pub`
//! file. Restrictions in it that are not kept here are refused rather than overlooked.

use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey, PublicKey, SshSig};

/// What signatures are made for (PROTOCOL.sshsig's namespace): one for something else is none.
pub const NAMESPACE: &str = "ampoule";
/// No signature, and no private key, is longer, in bytes.
pub const LENGTH_MAX: u64 = 64 << 10;

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// a public key where a private one belongs
    #[error("this is a public key; signing takes the private one, which is the file without .pub")]
    Public,
    /// a private key where public ones belong
    #[error("this is a private key; what may be trusted is said by public ones, which are the file with .pub")]
    Private,
    /// encrypted
    #[error(
        "the key is encrypted, and this tool asks for no passphrase; build without --sign, and sign with \
         `ssh-keygen -Y sign -n ampoule -f KEY IMAGE`, which does"
    )]
    Encrypted,
    /// another form
    #[error(
        "this is a key in another form ({0}); make one with `ssh-keygen -t ed25519`, or convert it with `ssh-keygen -p`"
    )]
    OtherForm(&'static str),
    /// another algorithm
    #[error("this is a key of the kind {0}; images are signed with Ed25519: make one with `ssh-keygen -t ed25519`")]
    OtherKind(String),
    /// none at all
    #[error("this is no OpenSSH key; make one with `ssh-keygen -t ed25519`")]
    NoKey,
    /// a damaged key
    #[error("the key is damaged: {0}")]
    Damaged(String),
    /// a line of public keys that is none
    #[error("line {0} is neither a public key nor one of an allowed_signers file")]
    Line(usize),
    /// a restriction that is not understood
    #[error("line {line} restricts its key by `{option}`, which this tool does not keep; take the line out")]
    Option {
        /// Which line, from 1.
        line: usize,
        /// Its option.
        option: String,
    },
    /// no key for images
    #[error("there is no key in it that may sign images{0}")]
    Empty(String),
}

/// Why an image does not count as signed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// no signature
    #[error("the signature is no SSH signature, or damaged")]
    Malformed,
    /// for something else
    #[error("the signature is made for `{0}`, not for `ampoule`; sign with `ssh-keygen -Y sign -n ampoule`")]
    OtherPurpose(String),
    /// by another algorithm
    #[error("the signature is by a key of the kind {0}; images are signed with Ed25519")]
    OtherKind(String),
    /// by a key that is not trusted
    #[error("the image is signed by another key, {0}, which is none of those that may sign")]
    OtherKey(String),
    /// does not match
    #[error("the signature, by {0}, does not match: the image was changed after it was signed, or built again")]
    Mismatch(String),
}

/// A key to sign with.
pub struct SigningKey(PrivateKey);

impl SigningKey {
    /// Reads a private key file of OpenSSH's.
    ///
    /// # Errors
    /// It is of another kind or form, encrypted or damaged.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        if !text.contains("-----BEGIN OPENSSH PRIVATE KEY-----") {
            return Err(other_form(text));
        }
        let key = PrivateKey::from_openssh(text).map_err(|error| KeyError::Damaged(error.to_string()))?;
        match key.algorithm() {
            _ if key.is_encrypted() => Err(KeyError::Encrypted),
            Algorithm::Ed25519 => Ok(SigningKey(key)),
            other => Err(KeyError::OtherKind(other.to_string())),
        }
    }

    /// The signature of an image's file.
    ///
    /// # Errors
    /// The key is damaged.
    pub fn sign(&self, image: &[u8]) -> Result<String, KeyError> {
        let damaged = |error: ssh_key::Error| KeyError::Damaged(error.to_string());
        let signature = self.0.sign(NAMESPACE, HashAlg::Sha512, image).map_err(damaged)?;
        signature.to_pem(LineEnding::LF).map_err(damaged)
    }

    /// Its fingerprint, `SHA256:…`.
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint(HashAlg::Sha256).to_string()
    }
}

/// What a text is that is no private key of OpenSSH's.
fn other_form(text: &str) -> KeyError {
    let is = |mark: &str| text.contains(mark);
    if text.trim_start().starts_with("ssh-") || is("BEGIN PUBLIC KEY") {
        KeyError::Public
    } else if is("BEGIN ENCRYPTED PRIVATE KEY") {
        KeyError::Encrypted
    } else if is("BEGIN PRIVATE KEY") {
        KeyError::OtherForm("PKCS#8")
    } else if is("BEGIN RSA PRIVATE KEY") || is("BEGIN EC PRIVATE KEY") || is("BEGIN DSA PRIVATE KEY") {
        KeyError::OtherForm("PEM, of another kind than Ed25519")
    } else if is("minisign") {
        KeyError::OtherForm("minisign")
    } else if is("BEGIN PGP") {
        KeyError::OtherForm("OpenPGP")
    } else {
        KeyError::NoKey
    }
}

/// A key that is trusted.
#[derive(Clone, Debug)]
pub struct Signer {
    /// Whose it is, as the file says; may be empty.
    pub name: String,
    key: PublicKey,
}

impl std::fmt::Display for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fingerprint = self.key.fingerprint(HashAlg::Sha256);
        if self.name.is_empty() { write!(f, "{fingerprint}") } else { write!(f, "{} ({fingerprint})", self.name) }
    }
}

/// The keys that are trusted.
#[derive(Clone, Debug)]
pub struct Signers(Vec<Signer>);

impl Signers {
    /// Reads a file of public keys. Keys that cannot sign images, of another kind or for other purposes, are passed over.
    ///
    /// # Errors
    /// A line is no key, or restricts one in a way that is not kept here; or none is left.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        if text.contains("PRIVATE KEY-----") {
            return Err(KeyError::Private);
        }
        let (mut signers, mut others) = (Vec::new(), Vec::new());
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match signer(line, number + 1)? {
                Ok(signer) => signers.push(signer),
                Err(passed_over) => others.push(passed_over),
            }
        }
        if signers.is_empty() {
            others.sort();
            others.dedup();
            let others = if others.is_empty() { String::new() } else { format!(", only {}", others.join(", ")) };
            return Err(KeyError::Empty(others));
        }
        Ok(Signers(signers))
    }

    /// Whose signature of this image's file it is.
    ///
    /// # Errors
    /// It is none, by none of these keys, or of another file.
    pub fn verify(&self, image: &[u8], signature: &str) -> Result<&Signer, SignatureError> {
        let signature = SshSig::from_pem(signature.trim_end()).map_err(|_| SignatureError::Malformed)?;
        if signature.namespace() != NAMESPACE {
            return Err(SignatureError::OtherPurpose(signature.namespace().escape_default().to_string()));
        }
        if signature.algorithm() != Algorithm::Ed25519 || signature.public_key().algorithm() != Algorithm::Ed25519 {
            return Err(SignatureError::OtherKind(signature.algorithm().to_string()));
        }
        let by = |signer: &&Signer| signer.key.key_data() == signature.public_key();
        let Some(signer) = self.0.iter().find(by) else {
            return Err(SignatureError::OtherKey(signature.public_key().fingerprint(HashAlg::Sha256).to_string()));
        };
        match signer.key.verify(NAMESPACE, image, &signature) {
            Ok(()) => Ok(signer),
            Err(_) => Err(SignatureError::Mismatch(signer.to_string())),
        }
    }
}

/// One line: a key, or of which kind or for which purpose one is that is passed over.
fn signer(line: &str, number: usize) -> Result<Result<Signer, String>, KeyError> {
    let words = words(line);
    let is_kind = |word: &&String| ["ssh-", "ecdsa-", "sk-"].iter().any(|start| word.starts_with(start));
    let Some(at) = words.iter().position(|word| is_kind(&word)) else { return Err(KeyError::Line(number)) };
    let [kind, key, comment @ ..] = &words[at..] else { return Err(KeyError::Line(number)) };
    // PRINCIPALS [OPTIONS] in allowed_signers; nothing, or options alone, in authorized_keys.
    let (principals, options) = match &words[..at] {
        [] => (None, None),
        [options] if is_authorization(options) => (None, Some(options)),
        [principals] => (Some(principals), None),
        [principals, options] => (Some(principals), Some(options)),
        _ => return Err(KeyError::Line(number)),
    };
    for option in options.map(|o| split(o, ',')).unwrap_or_default() {
        match option.split_once('=') {
            Some((name, purposes)) if name.eq_ignore_ascii_case("namespaces") => {
                let mut purposes = purposes.trim_matches('"').split(',');
                if !purposes.any(|purpose| purpose == NAMESPACE || purpose == "*") {
                    return Ok(Err("keys for other purposes".into()));
                }
            }
            _ => return Err(KeyError::Option { line: number, option }),
        }
    }
    if kind != "ssh-ed25519" {
        return Ok(Err(kind.clone()));
    }
    let key = PublicKey::from_openssh(&format!("{kind} {key}")).map_err(|_| KeyError::Line(number))?;
    let name = principals.cloned().unwrap_or_else(|| comment.join(" "));
    Ok(Ok(Signer { name, key }))
}

/// Whether the one word before a key is options of authorized_keys (sshd(8)), and no name: one has a value in quotation marks,
/// or is among those without a value.
fn is_authorization(word: &str) -> bool {
    const WITHOUT_VALUE: [&str; 14] = [
        "agent-forwarding",
        "cert-authority",
        "no-agent-forwarding",
        "no-port-forwarding",
        "no-pty",
        "no-touch-required",
        "no-user-rc",
        "no-x11-forwarding",
        "port-forwarding",
        "pty",
        "restrict",
        "user-rc",
        "verify-required",
        "x11-forwarding",
    ];
    let is_option = |part: &String| part.contains("=\"") || WITHOUT_VALUE.contains(&part.to_lowercase().as_str());
    split(word, ',').iter().any(is_option)
}

/// Words between blanks; blanks within quotation marks are part of one.
fn words(line: &str) -> Vec<String> {
    split(&line.replace('\t', " "), ' ').into_iter().filter(|word| !word.is_empty()).collect()
}

fn split(text: &str, at: char) -> Vec<String> {
    let (mut parts, mut part, mut is_quoted) = (Vec::new(), String::new(), false);
    for letter in text.chars() {
        is_quoted ^= letter == '"';
        if letter == at && !is_quoted {
            parts.push(std::mem::take(&mut part));
        } else {
            part.push(letter);
        }
    }
    parts.push(part);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use ssh_key::private::Ed25519Keypair;

    fn key(seed: u8) -> SigningKey {
        SigningKey(PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32])))
    }

    fn public(seed: u8) -> String {
        key(seed).0.public_key().to_openssh().expect("it can be written")
    }

    fn signers(text: &str) -> Signers {
        Signers::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn what_is_signed_is_verified() {
        let signature = key(1).sign(b"image").expect("signs");
        assert_eq!(key(1).sign(b"image").expect("signs"), signature, "Ed25519 is deterministic");
        let all = signers(&format!("# who may\n\nanna {}\nbert {}\n", public(1), public(2)));
        assert_eq!(all.verify(b"image", &signature).map(|s| s.name.clone()), Ok("anna".into()));
        assert!(
            matches!(all.verify(b"imagE", &signature), Err(SignatureError::Mismatch(name)) if name.contains("anna"))
        );
        let other = signers(&public(2)).verify(b"image", &signature).map(|_| ());
        assert_eq!(other, Err(SignatureError::OtherKey(key(1).fingerprint())));
        for text in ["", "nonsense", &signature[..signature.len() / 2], &signature.replace("SSH SIGNATURE", "X")] {
            assert_eq!(all.verify(b"image", text).map(|_| ()), Err(SignatureError::Malformed), "{text}");
        }
    }

    #[test]
    fn signatures_for_other_purposes_do_not_count() {
        let signature = key(1).0.sign("file", HashAlg::Sha512, b"image").expect("signs");
        let text = signature.to_pem(LineEnding::LF).expect("can be written");
        assert_eq!(
            signers(&public(1)).verify(b"image", &text).map(|_| ()),
            Err(SignatureError::OtherPurpose("file".into()))
        );
    }

    #[test]
    fn lines_of_keys_are_read() {
        for line in [
            format!("{} anna@example.org", public(1)),
            format!("anna@example.org {}", public(1)),
            format!("anna@example.org namespaces=\"file,ampoule\" {} a comment", public(1)),
        ] {
            assert_eq!(signers(&line).0[0].name, "anna@example.org", "{line}");
        }
    }

    #[test]
    fn what_is_not_kept_is_refused() {
        let error = |text: &str| Signers::parse(text).map(|_| ()).expect_err(text).to_string();
        assert!(
            error(&format!("\na valid-before=\"20300101\" {}", public(1)))
                .starts_with("line 2 restricts its key by `valid-before")
        );
        for options in ["cert-authority", "no-pty,restrict", "command=\"true x\",no-pty", "No-Pty"] {
            let refused = error(&format!("{options} {}", public(1)));
            assert!(refused.starts_with("line 1 restricts its key by `"), "{options}: {refused}");
        }
        assert!(error(&format!("a cert-authority {}", public(1))).contains("`cert-authority`"));
        assert!(error(&format!("a namespaces=\"git\" {}", public(1))).ends_with(", only keys for other purposes"));
        assert!(error("hello world").starts_with("line 1 is neither"));
        assert!(error("ssh-ed25519 AAAA").starts_with("line 1 is neither"));
        assert!(error("").starts_with("there is no key in it"));
        let private = key(1).0.to_openssh(LineEnding::LF).expect("can be written");
        assert!(error(&private).starts_with("this is a private key"));
    }

    #[test]
    fn private_keys_are_told_apart() {
        let private = key(1).0.to_openssh(LineEnding::LF).expect("can be written");
        assert_eq!(SigningKey::parse(&private).expect("a good key").fingerprint(), key(1).fingerprint());
        let error = |text: &str| SigningKey::parse(text).map(|_| ()).expect_err(text);
        assert!(matches!(error(&public(1)), KeyError::Public));
        assert!(matches!(error("-----BEGIN PRIVATE KEY-----"), KeyError::OtherForm("PKCS#8")));
        assert!(matches!(error("-----BEGIN ENCRYPTED PRIVATE KEY-----"), KeyError::Encrypted));
        assert!(matches!(error("untrusted comment: minisign encrypted secret key"), KeyError::OtherForm("minisign")));
        assert!(matches!(error("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA"), KeyError::Damaged(_)));
        assert!(matches!(error("anything"), KeyError::NoKey));
    }
}
