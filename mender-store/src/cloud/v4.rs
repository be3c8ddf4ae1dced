//! Signatures in the query of a URL, as S3 and Google Cloud Storage define them alike.

use std::time::Duration;

use mender_core::{
    Time,
    blob::{ARTIFACT_TYPE, LinkTo, disposition},
    env::hex,
};
use reqwest::Url;
use ring::digest;

use super::web::{compact, encode};

/// The longest that a link may be good.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// The shortest that a link is good.
const SHORTEST: Duration = Duration::from_secs(60);

/// Returns how long a link is good for which this was asked.
pub(super) fn clamp(valid_for: Duration) -> Duration {
    Duration::from_secs(valid_for.as_secs()).clamp(SHORTEST, LONGEST)
}

/// Returns what a link says about the answer to it: type, and the header that names the file.
pub(super) fn answer<'a>(to: LinkTo<'_>, shown: &'a mut String) -> Vec<(&'static str, &'a str)> {
    let LinkTo::Read { file_name } = to else { return vec![] };
    let mut parameters = vec![("response-content-type", ARTIFACT_TYPE)];
    if let Some(name) = file_name {
        *shown = disposition(name);
        parameters.push(("response-content-disposition", shown));
    }
    parameters
}

/// How one vendor calls things.
pub(super) struct Dialect {
    /// What parameters begin with.
    pub(super) prefix: &'static str,
    pub(super) algorithm: &'static str,
}

/// What signs.
pub(super) struct Signer<'a> {
    pub(super) dialect: Dialect,
    /// Who signs.
    pub(super) id: &'a str,
    /// What the signature is good for, after the day.
    pub(super) scope: String,
    /// The token of a session.
    pub(super) token: Option<&'a str>,
}

impl Signer<'_> {
    /// Signs a URL that has no query; `sign` is given the day and the text to sign, and returns the
    /// signature.
    pub(super) fn sign<E>(
        &self,
        method: &str,
        url: &Url,
        more: &[(&str, &str)],
        valid_for: Duration,
        now: Time,
        sign: impl FnOnce(&str, &str) -> Result<Vec<u8>, E>,
    ) -> Result<Url, E> {
        let Dialect { prefix, algorithm } = self.dialect;
        let (time, day) = compact(now);
        let scope = format!("{day}/{}", self.scope);
        let name = |name: &str| format!("X-{prefix}-{name}");
        let mut query = vec![
            (name("Algorithm"), algorithm.to_owned()),
            (name("Credential"), format!("{}/{scope}", self.id)),
            (name("Date"), time.clone()),
            (name("Expires"), clamp(valid_for).as_secs().to_string()),
            (name("SignedHeaders"), "host".into()),
        ];
        query.extend(self.token.map(|token| (name("Security-Token"), token.to_owned())));
        query.extend(more.iter().map(|(name, value)| ((*name).into(), (*value).to_owned())));
        let encoded = query.iter().map(|(name, value)| (encode(name), encode(value)));
        let mut encoded: Vec<_> = encoded.collect();
        encoded.sort();
        let pairs: Vec<String> =
            encoded.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let query = pairs.join("&");
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let host = url.host_str().unwrap_or_default();
        let path = url.path();
        let request =
            format!("{method}\n{path}\n{query}\nhost:{host}{port}\n\nhost\nUNSIGNED-PAYLOAD");
        let hash = hex(digest::digest(&digest::SHA256, request.as_bytes()).as_ref());
        let signature = sign(&day, &format!("{algorithm}\n{time}\n{scope}\n{hash}"))?;
        let mut signed = url.clone();
        signed.set_query(Some(&format!("{query}&{}={}", name("Signature"), hex(&signature))));
        Ok(signed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Amazon's documentation.
    #[test]
    fn a_signature_covers_what_is_documented() {
        let signer = Signer {
            dialect: Dialect { prefix: "Amz", algorithm: "AWS4-HMAC-SHA256" },
            id: "AKIAIOSFODNN7EXAMPLE",
            scope: "us-east-1/s3/aws4_request".into(),
            token: None,
        };
        let url = Url::parse("https://examplebucket.s3.amazonaws.com/test.txt").unwrap();
        let now: Time = "2013-05-24T00:00:00.9Z".parse().unwrap();
        let day = Duration::from_secs(86_400);
        let mut signed_text = String::new();
        let sign = |day: &str, text: &str| {
            assert_eq!(day, "20130524");
            signed_text = text.to_owned();
            Ok::<_, std::convert::Infallible>(vec![0xab])
        };
        let Ok(signed) = signer.sign("GET", &url, &[], day, now, sign);
        assert_eq!(
            signed_text,
            "AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n\
             3bfa292879f6447bbcda7001decf97f4a54dc650c8942174ae0a9121cf58ad04"
        );
        let query = signed.query().unwrap();
        assert!(query.ends_with("&X-Amz-SignedHeaders=host&X-Amz-Signature=ab"), "{query}");
    }

    #[test]
    fn links_are_good_for_a_minute_to_a_week() {
        let seconds = |seconds: u64| clamp(Duration::from_millis(seconds * 1000 + 900)).as_secs();
        assert_eq!([seconds(0), seconds(61), seconds(10_000_000)], [60, 61, 604_800]);
    }
}
