//! The manifest as the image holds it: CBOR bytes, and the strings that the boot information wants.

use abi::manifest::Manifest;

/// The manifest's CBOR bytes; the same manifest gives the same bytes.
pub fn encode(manifest: &Manifest) -> Vec<u8> {
    // Writing to a Vec cannot fail: the error type is empty but for the encoder's own messages, which derive never makes.
    minicbor::to_vec(manifest).unwrap_or_default()
}

/// The manifest in `bytes`; the message says what is wrong with them.
pub fn decode(bytes: &[u8]) -> Result<Manifest, String> {
    let mut decoder = minicbor::Decoder::new(bytes);
    let manifest = decoder.decode().map_err(|error| error.to_string())?;
    if decoder.position() != bytes.len() {
        return Err(format!("{} bytes follow the manifest", bytes.len() - decoder.position()));
    }
    Ok(manifest)
}

/// Arguments and environment, NUL-terminated one after the other: the program's name, its arguments, its environment.
pub(crate) struct Strings {
    pub(crate) bytes: Vec<u8>,
    pub(crate) arguments: u64,
    pub(crate) environment: u64,
}

/// The manifest's [`Strings`], or the one that holds a NUL.
pub(crate) fn strings(manifest: &Manifest) -> Result<Strings, String> {
    let mut bytes = Vec::new();
    let all = [&manifest.name].into_iter().chain(&manifest.arguments).chain(&manifest.environment);
    for string in all {
        if string.contains('\0') {
            return Err(string.escape_default().to_string());
        }
        bytes.extend_from_slice(string.as_bytes());
        bytes.push(0);
    }
    Ok(Strings {
        bytes,
        arguments: 1 + manifest.arguments.len() as u64,
        environment: manifest.environment.len() as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_survives_the_round_trip() {
        let manifest =
            Manifest { name: "web".into(), memory: 8 << 20, arguments: vec!["-v".into()], ..Default::default() };
        let bytes = encode(&manifest);
        assert_eq!(decode(&bytes), Ok(manifest));
        assert!(decode(&bytes[..bytes.len() - 1]).is_err());
        assert!(decode(&[&bytes[..], &[0]].concat()).is_err_and(|e| e.contains("1 bytes follow")));
    }

    #[test]
    fn strings_count_the_name_as_the_first_argument() {
        let manifest = Manifest { name: "a".into(), environment: vec!["K=V".into()], ..Default::default() };
        let strings = strings(&manifest).expect("no NUL");
        assert_eq!((strings.arguments, strings.environment, &strings.bytes[..]), (1, 1, &b"a\0K=V\0"[..]));
    }
}
