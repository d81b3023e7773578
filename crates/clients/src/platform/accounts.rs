use reqwest::Method;
use slipway_kernel::{ApiKeyId, Page};
use slipway_models::api_keys::{ApiKeyBody, CreateApiKeyRequest, NewApiKeyBody};
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

    /// Makes an API key of the caller's. This answer alone holds the key itself.
    pub async fn create_api_key(&self, wanted: &CreateApiKeyRequest) -> Result<NewApiKeyBody, ClientError> {
        self.http.json(self.request(Method::POST, "/api-keys").json(wanted)).await
    }

    /// Lists the caller's API keys, newest first.
    pub async fn api_keys(&self, cursor: Option<&str>) -> Result<Page<ApiKeyBody>, ClientError> {
        self.page("/api-keys", cursor).await
    }

    /// Deletes an API key of the caller's.
    pub async fn delete_api_key(&self, key: ApiKeyId) -> Result<(), ClientError> {
        self.http.send(self.request(Method::DELETE, &format!("/api-keys/{key}"))).await.map(drop)
    }
}
