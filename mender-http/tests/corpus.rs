//! Replays the corpora of `fuzz/`, and beginnings of each input.

use std::{fs, path::Path};

use mender_http::testing::hostile;

#[expect(clippy::unwrap_used, reason = "without its inputs the test can't run")]
fn replay(name: &str, target: fn(&[u8])) {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let mut count = 0;
    for file in fs::read_dir(corpora.join(name)).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        target(&bytes);
        for end in (0..bytes.len()).step_by(1 + bytes.len() / 50) {
            target(&bytes[..end]);
        }
        count += 1;
    }
    assert!(count >= 5, "{name} has too few inputs");
}

#[test]
fn identities_have_one_canonical_form() {
    replay("identity", hostile::identity);
}

#[test]
fn keys_have_a_normal_form_and_fit_no_made_up_signature() {
    replay("public_key", hostile::public_key);
}

#[test]
fn nobody_makes_tokens_but_the_server() {
    replay("token", hostile::token);
}

#[test]
fn bodies_are_decoded_or_refused_in_few_words() {
    replay("body", hostile::body);
}

#[test]
fn queries_read_back_as_they_were_written() {
    replay("query", hostile::query);
}

#[test]
fn forms_are_read_alike_however_they_are_cut() {
    replay("form", hostile::form);
}
