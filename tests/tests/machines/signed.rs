//! Signed images, with the keys and the tool that people have: `ssh-keygen`.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ampoule_tests::fleet::Fleet;
use ampoule_tests::harness::{Case, Verdict};
use ampoule_tests::tool;
use anyhow::{Context, Result, bail, ensure};

pub(crate) fn cases() -> Vec<Case> {
    let case = |name: &str, run: fn(&Keys) -> Result<()>| {
        Case::new(format!("signed images {name}"), move || match Keys::new()? {
            Ok(keys) => run(&keys).map(|()| Verdict::Passed),
            Err(skipped) => Ok(skipped),
        })
    };
    vec![
        case("are verified, by ssh-keygen too", verified),
        case("run where a signature is required", required),
        case("start in the background where a signature is required", in_the_background),
        case("that are not signed well are refused", refused),
        case("take no unfit key", unfit),
    ]
}

/// A folder with keys, and an image that is signed with the first of them.
struct Keys {
    folder: PathBuf,
    image: String,
}

impl Keys {
    fn new() -> Result<Result<Self, Verdict>> {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        if Command::new("ssh-keygen").arg("-?").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
            if std::env::var_os("CI").is_some_and(|ci| ci == "true") {
                bail!("no ssh-keygen, and CI tries everything");
            }
            return Ok(Err(Verdict::Skipped("no ssh-keygen; apt-get install openssh-client".into())));
        }
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("ampoule-signed-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let keys = Self { image: folder.join("hello.img").to_string_lossy().into_owned(), folder };
        for (name, kind, phrase) in
            [("anna", "ed25519", ""), ("bert", "ed25519", ""), ("shut", "ed25519", "a phrase"), ("rsa", "rsa", "")]
        {
            keys.keygen(&["-q", "-t", kind, "-N", phrase, "-C", name, "-f", name], None)?;
        }
        let anna = fs::read_to_string(keys.path("anna.pub"))?;
        let bert = fs::read_to_string(keys.path("bert.pub"))?;
        fs::write(keys.path("allowed"), format!("# who may sign\nanna@example.org namespaces=\"ampoule\" {anna}"))?;
        fs::write(keys.path("both"), format!("anna@example.org {anna}bert@example.org {bert}"))?;
        let key = keys.path("anna");
        tool::build(
            &tool::root().join("examples/hello-oneline"),
            &["-o", &keys.image, "--sign", &key.to_string_lossy()],
            &[],
        )?;
        Ok(Ok(keys))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn keygen(&self, arguments: &[&str], input: Option<&Path>) -> Result<String> {
        let input = input.map_or_else(|| Ok(Stdio::null()), |path| fs::File::open(path).map(Stdio::from))?;
        let output = Command::new("ssh-keygen").args(arguments).current_dir(&self.folder).stdin(input).output()?;
        ensure!(output.status.success(), "ssh-keygen {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Has ssh-keygen sign the image.
    fn sign_with(&self, key: &str, purpose: &str) -> Result<()> {
        _ = fs::remove_file(self.path("hello.img.sig"));
        self.keygen(&["-Y", "sign", "-n", purpose, "-f", key, "hello.img"], None).map(drop)
    }

    /// The tool's status and what it said.
    fn tool(&self, arguments: &[&str]) -> Result<(i32, String)> {
        let output =
            Command::new(tool::tool()?).args(arguments).current_dir(&self.folder).stdin(Stdio::null()).output()?;
        let text = [output.stdout, output.stderr].concat();
        Ok((output.status.code().context("a status")?, String::from_utf8_lossy(&text).into_owned()))
    }

    fn expect(&self, arguments: &[&str], status: i32, text: &str) -> Result<()> {
        let (got, said) = self.tool(arguments)?;
        ensure!(
            got == status && said.contains(text),
            "{arguments:?}: {got} instead of {status}, no `{text}` in\n{said}"
        );
        Ok(())
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.folder);
    }
}

fn verified(keys: &Keys) -> Result<()> {
    // The image is the same as without a signature.
    let plain = fs::read(tool::image("examples/hello-oneline")?)?;
    ensure!(plain == fs::read(&keys.image)?, "a signature changes the image");
    keys.expect(&["verify", "hello.img", "--keys", "allowed"], 0, "hello.img: signed by anna@example.org (SHA256:")?;
    keys.expect(&["verify", "hello.img", "--keys", "anna.pub"], 0, "signed by anna (SHA256:")?;
    let image = PathBuf::from(&keys.image);
    let verify = ["-Y", "verify", "-n", "ampoule", "-f", "allowed", "-I", "anna@example.org", "-s", "hello.img.sig"];
    ensure!(keys.keygen(&verify, Some(&image))?.starts_with("Good \"ampoule\" signature"));
    keys.sign_with("bert", "ampoule")?;
    keys.expect(&["verify", "hello.img", "--keys", "both"], 0, "signed by bert@example.org (SHA256:")
}

fn required(keys: &Keys) -> Result<()> {
    const HELLO: &str = "Hello";
    for on in [&[][..], &["--on", "process"]] {
        keys.expect(&[&["run", "hello.img", "--require-signature", "allowed"], on].concat(), 0, HELLO)?;
    }
    if ampoule_tests::backend::Backend::ALL.iter().any(|b| b.to_string() == "microvm" && b.lacks().is_none()) {
        keys.expect(&["run", "hello.img", "--on", "qemu", "--require-signature", "allowed"], 0, HELLO)?;
    }
    keys.expect(&["run", "hello.img", "--require-signature", "bert.pub"], 2, "signed by another key, SHA256:")
}

fn in_the_background(keys: &Keys) -> Result<()> {
    let fleet = Fleet::new()?;
    let run = |trusted: &str| -> Result<(i32, String)> {
        let said = fleet.say(&[
            "run",
            &keys.image,
            "--detach",
            "--name",
            "signed",
            "--require-signature",
            &keys.path(trusted).to_string_lossy(),
        ])?;
        Ok((said.status, format!("{}{}", said.output, said.errors)))
    };
    let (status, said) = run("bert.pub")?;
    ensure!(status == 2 && said.contains("signed by another key"), "{status} {said}");
    ensure!(!fleet.say(&["ps", "--all"])?.output.contains("signed"), "it was started all the same");
    let (status, said) = run("allowed")?;
    ensure!(status == 0, "{status} {said}");
    Ok(())
}

fn refused(keys: &Keys) -> Result<()> {
    let verify = ["verify", "hello.img", "--keys", "allowed"];
    let run = ["run", "hello.img", "--require-signature", "allowed"];
    let both = |text: &str| keys.expect(&verify, 2, text).and_then(|()| keys.expect(&run, 2, text));
    keys.sign_with("bert", "ampoule")?;
    both("signed by another key, SHA256:")?;
    keys.sign_with("anna", "file")?;
    both("made for `file`, not for `ampoule`")?;
    keys.sign_with("anna", "ampoule")?;
    fs::write(keys.path("hello.img.sig"), "-----BEGIN SSH SIGNATURE-----\nnonsense\n")?;
    both("no SSH signature, or damaged")?;
    fs::write(keys.path("hello.img.sig"), vec![b'x'; 100_000])?;
    both("longer than any key or signature")?;
    // Of another build: whole, but not what was signed.
    keys.sign_with("anna", "ampoule")?;
    let other = tool::image("examples/exit7")?;
    fs::copy(other, &keys.image)?;
    both("does not match")?;
    fs::remove_file(keys.path("hello.img.sig"))?;
    both("is not signed: there is no hello.img.sig")?;
    fs::write(&keys.image, "no image")?;
    both("not an ampoule image")
}

fn unfit(keys: &Keys) -> Result<()> {
    let folder = tool::root().join("examples/hello-oneline").to_string_lossy().into_owned();
    let build = |key: &str, text: &str| keys.expect(&["build", &folder, "-o", "new.img", "--sign", key], 2, text);
    build("anna.pub", "this is a public key")?;
    build("shut", "the key is encrypted")?;
    build("rsa", "a key of the kind ssh-rsa")?;
    build("allowed", "this is no OpenSSH key")?;
    build("nowhere", "cannot read nowhere")?;
    fs::set_permissions(keys.path("bert"), Permissions::from_mode(0o640))?;
    build("bert", "others than you may read or write this key (mode 640)")?;
    ensure!(!keys.path("new.img").exists(), "it was built all the same");
    let verify = |trusted: &str, text: &str| keys.expect(&["verify", "hello.img", "--keys", trusted], 2, text);
    verify("anna", "this is a private key")?;
    verify("rsa.pub", "no key in it that may sign images, only ssh-rsa")?;
    verify("hello.img", "is no text")?;
    verify("nowhere", "cannot read nowhere")
}
