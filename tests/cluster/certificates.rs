//! Keys and certificates of one cluster.

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, Error, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};

/// Writes them into a folder, and returns the certificate of the authority that signed the others.
pub fn write(folder: &Path) -> Result<String, String> {
    let keep = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
    };
    let authority = authority("authority").map_err(said)?;
    keep("authority.crt", &authority.pem())?;
    for (name, addresses) in
        [("server", vec!["127.0.0.1", "localhost", "kubernetes.default.svc"]), ("node", vec!["127.0.0.1"])]
    {
        let (certificate, key) = signed(&authority, name, &addresses).map_err(said)?;
        keep(&format!("{name}.crt"), &certificate)?;
        keep(&format!("{name}.key"), &key)?;
    }

    // With it the API server proves itself to the servers of aggregated APIs. They must trust nobody else.
    let front = self::authority("front").map_err(said)?;
    keep("front-authority.crt", &front.pem())?;
    let (certificate, key) = signed(&front, "front", &[]).map_err(said)?;
    keep("front.crt", &certificate)?;
    keep("front.key", &key)?;

    let accounts = KeyPair::generate().map_err(said)?;
    keep("accounts.key", &accounts.serialize_pem())?;
    keep("accounts.pub", &accounts.public_key_pem())?;
    Ok(authority.pem())
}

fn said(error: Error) -> String {
    format!("certificates: {error}")
}

fn authority(name: &str) -> Result<CertifiedIssuer<'static, KeyPair>, Error> {
    let mut parameters = named(name, &[])?;
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate()?)
}

fn signed(
    authority: &CertifiedIssuer<'static, KeyPair>,
    name: &str,
    addresses: &[&str],
) -> Result<(String, String), Error> {
    let mut parameters = named(name, addresses)?;
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate()?;
    let certificate = parameters.signed_by(&key, authority)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn named(name: &str, addresses: &[&str]) -> Result<CertificateParams, Error> {
    let mut parameters =
        CertificateParams::new(addresses.iter().map(|&address| address.to_owned()).collect::<Vec<_>>())?;
    parameters.distinguished_name.push(DnType::CommonName, name);
    Ok(parameters)
}
