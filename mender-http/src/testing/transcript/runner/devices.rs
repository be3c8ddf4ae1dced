//! Steps that stand for several requests: a device asks, a user accepts, a token is issued.

use serde_json::{Value, json};

use super::{Answer, Play, Transport};

impl<T: Transport> Play<'_, T> {
    /// Sends an authentication request of a device.
    async fn auth(&self, name: &str) -> Result<Answer, String> {
        let device = self.device(name)?;
        let body = json!({
            "id_data": device.identity.to_string(),
            "pubkey": device.key.public_pem(),
        });
        self.send(&json!({
            "as": "none",
            "method": "POST",
            "path": "/api/devices/v1/authentication/auth_requests",
            "json": body,
            "sign": name,
        }))
        .await
    }

    /// A device that has asked for authentication: its ids are found among the pending ones.
    pub(super) async fn pending(&mut self, name: &str) -> Result<(), String> {
        self.auth(name).await?;
        let identity = self.device(name)?.identity.clone();
        for page in 1.. {
            let list = self
                .send(&json!({
                    "path": "/api/management/v2/devauth/devices",
                    "query": {"status": "pending", "per_page": 500, "page": page},
                }))
                .await?;
            let Some(Value::Array(list)) = list.json() else {
                return Err(format!("no list of devices: {} {}", list.status, list.text()));
            };
            if list.is_empty() {
                break;
            }
            let mine = |d: &&Value| d["identity_data"] == identity;
            if let Some(device) = list.iter().find(mine) {
                self.vars.set(format!("{name}.id"), device["id"].clone());
                self.vars.set(format!("{name}.auth"), device["auth_sets"][0]["id"].clone());
                return Ok(());
            }
        }
        Err(format!("device {name} is not among the pending ones"))
    }

    /// A device that a user has accepted, with its token.
    pub(super) async fn accepted(&mut self, name: &str) -> Result<(), String> {
        self.pending(name).await?;
        let id = |part: &str| self.vars.text(&format!("{name}.{part}")).unwrap_or_default();
        let (device, set) = (id("id"), id("auth"));
        let path = format!("/api/management/v2/devauth/devices/{device}/auth/{set}/status");
        let json = json!({"status": "accepted"});
        let answer = self.send(&json!({"method": "PUT", "path": path, "json": json})).await?;
        if answer.status >= 400 {
            return Err(format!("not accepted: {} {}", answer.status, answer.text()));
        }
        self.token(name).await
    }

    pub(super) async fn token(&mut self, name: &str) -> Result<(), String> {
        let answer = self.auth(name).await?;
        if answer.status != 200 {
            return Err(format!("no token: {} {}", answer.status, answer.text()));
        }
        self.tokens.insert(name.into(), answer.text());
        Ok(())
    }
}
