use reqwest::Method;
use slipway_models::auth::{
    LoginRequest, RefreshRequest, RegisterAnswer, RegisterRequest, TokenAnswer, UserBody,
};

use super::Client;
use crate::ClientError;

impl Client {
    /// Makes an account.
    pub async fn register(&self, account: &RegisterRequest) -> Result<RegisterAnswer, ClientError> {
        self.http.json(self.request(Method::POST, "/auth/register").json(account)).await
    }

    /// Signs in.
    pub async fn login(&self, credentials: &LoginRequest) -> Result<TokenAnswer, ClientError> {
        self.http.json(self.request(Method::POST, "/auth/login").json(credentials)).await
    }

    /// Trades a refresh token for new tokens. It works once: the caller keeps the new one before anything else.
    pub async fn refresh(&self, refresh_token: &str) -> Result<TokenAnswer, ClientError> {
        let request = RefreshRequest { refresh_token: Some(refresh_token.to_owned()), transport: None };
        self.http.json(self.request(Method::POST, "/auth/refresh").json(&request)).await
    }

    /// Ends the session that the access token belongs to.
    pub async fn logout(&self) -> Result<(), ClientError> {
        self.http.send(self.request(Method::POST, "/auth/logout")).await.map(drop)
    }

    /// Returns the caller's account.
    pub async fn me(&self) -> Result<UserBody, ClientError> {
        self.http.json(self.request(Method::GET, "/users/me")).await
    }
}
