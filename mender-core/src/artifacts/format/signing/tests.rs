use super::*;

const MANIFEST: &[u8] = b"the manifest\n";
const RSA_KEY: &str = include_str!("keys/rsa-pkcs1.pem");
const EC_KEY: &str = include_str!("keys/p256-sec1.pem");
/// By OpenSSL, in ASN.1.
const EC_SIGNATURE: &str = include_str!("keys/ec.sig");
const RSA_SIGNATURE: &str = include_str!("keys/rsa.sig");

fn public(pem: &str) -> PublicKey {
    PublicKey::from_pem(pem).unwrap()
}

fn rsa_public() -> PublicKey {
    public(include_str!("keys/rsa.pub"))
}

fn ec_public() -> PublicKey {
    public(include_str!("keys/p256.pub"))
}

#[test]
fn all_spellings_of_a_key_sign_alike_and_the_public_key_verifies() {
    let cases = [
        ([RSA_KEY, include_str!("keys/rsa-pkcs8.pem")], rsa_public(), 344),
        ([EC_KEY, include_str!("keys/p256-pkcs8.pem")], ec_public(), 88),
    ];
    for (pems, public, length) in cases {
        let sign = |pem| SigningKey::from_pem(pem).unwrap().sign(MANIFEST).unwrap();
        let [signature, same] = pems.map(sign);
        assert_eq!(signature, same);
        assert_eq!(signature.len(), length);
        assert_eq!(verify(MANIFEST, &signature, &public), Ok(()));
        assert_eq!(verify(b"another", &signature, &public), Err(SignatureError::Wrong));
    }
}

#[test]
fn signatures_by_openssl_hold() {
    assert_eq!(verify(MANIFEST, RSA_SIGNATURE, &rsa_public()), Ok(()));
    assert_eq!(verify(MANIFEST, EC_SIGNATURE, &ec_public()), Ok(()));
    assert_eq!(SigningKey::from_pem(RSA_KEY).unwrap().sign(MANIFEST).unwrap(), RSA_SIGNATURE);
}

#[test]
fn what_devices_do_not_verify_is_refused() {
    let bytes = |n: usize| STANDARD.encode(vec![1; n]);
    let p384 = public(include_str!("keys/p384.pub"));
    let ed25519 = public(include_str!("keys/ed25519.pub"));
    let cases = [
        (verify(MANIFEST, EC_SIGNATURE, &p384), "signer: invalid ecdsa curve size"),
        (verify(MANIFEST, EC_SIGNATURE, &ed25519), "unsupported public key type"),
        (verify(MANIFEST, "!", &ec_public()), "signer: error decoding signature"),
        (
            verify(MANIFEST, &bytes(65), &ec_public()),
            "signer: invalid signature length: 65. For ECDSA only P-256 is supported.",
        ),
        (verify(MANIFEST, &bytes(64), &ec_public()), "signer: verification failed"),
        (verify(MANIFEST, &STANDARD.encode([0; 64]), &ec_public()), "signer: verification failed"),
        (verify(MANIFEST, &bytes(71), &ec_public()), "signer: verification failed"),
        (verify(MANIFEST, "!", &rsa_public()), "signer: verification failed"),
        (verify(MANIFEST, EC_SIGNATURE, &rsa_public()), "signer: verification failed"),
    ];
    for (result, text) in cases {
        assert_eq!(result.map_err(|e| e.to_string()), Err(text.to_owned()));
    }
}

#[test]
fn other_private_keys_are_refused() {
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    for bad in [
        "",
        "hello",
        encrypted,
        include_str!("keys/p384.pem"),
        include_str!("keys/ed25519.pem"),
        include_str!("keys/rsa.pub"),
    ] {
        let error = SigningKey::from_pem(bad).unwrap_err().to_string();
        assert_eq!(error, "unsupported private key type", "{bad}");
    }
}
