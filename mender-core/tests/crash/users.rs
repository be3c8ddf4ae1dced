use mender_core::{
    Result, UserId,
    error::Kind,
    secret::Secret,
    users::{Account, Login, NewUser, Store as _},
};

use crate::crash::harness::{World, answer_or, use_cases};

const PASSWORD: &str = "correct horse";

async fn create(w: &World) -> Result<()> {
    let new = NewUser {
        email: "user@acme.com".parse().unwrap(),
        password: PASSWORD.into(),
        id: Some(user()),
        roles: vec![],
    };
    let answer = w.mender.users().create(&w.ctx, &new).await;
    answer_or(answer.map(|_| ()), Kind::Conflict)
}

fn user() -> UserId {
    "user".parse().unwrap()
}

async fn made(w: &World) {
    create(w).await.unwrap();
}

async fn log_in(w: &World) -> Result<String> {
    let login =
        Login { email: "user@acme.com".into(), password: Secret::new(PASSWORD), forever: true };
    w.mender.users().log_in("", &login).await
}

async fn logged_in(w: &World) {
    made(w).await;
    log_in(w).await.unwrap();
}

async fn account(w: &World) -> Account {
    w.stores.account(&user()).await.unwrap().unwrap()
}

use_cases! {
    making_a_user:
        given async |_| (),
        when create,
        then async |w| {
            let token = log_in(w).await.unwrap();
            w.mender.users().verify(&token, "").await.unwrap();
        };
    logging_in:
        given made,
        when async |w| {
            let token = log_in(w).await?;
            w.mender.users().verify(&token, "").await.map(|_| ())
        },
        then async |w| assert!(!account(w).await.sessions.is_empty());
    logging_out:
        given logged_in,
        when async |w| {
            for session in account(w).await.sessions {
                w.mender.users().log_out(&w.ctx, &user(), &session.id).await?;
            }
            Ok(())
        },
        then async |w| assert_eq!(account(w).await.sessions, []);
    setting_a_password:
        given logged_in,
        when async |w| {
            let email = "user@acme.com".parse().unwrap();
            w.mender.users().set_password(&w.ctx, &email, PASSWORD).await
        },
        then async |w| assert_eq!(account(w).await.sessions, []);
}
