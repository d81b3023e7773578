use reqwest::Method;
use slipway_kernel::{FunctionId, Page, SigningKeyId};
use slipway_models::functions::{
    NewSigningKeyBody, SecretBody, SecretRequest, SigningKeyBody, SigningKeyRequest,
};

use super::Client;
use crate::ClientError;

impl Client {
    /// Sets a secret of a function. `name` is one of those that the platform takes: it goes into a path.
    pub async fn set_secret(
        &self,
        id: FunctionId,
        name: &str,
        secret: &SecretRequest,
    ) -> Result<SecretBody, ClientError> {
        let path = format!("/functions/{id}/secrets/{name}");
        self.http.json(self.request(Method::PUT, &path).json(secret)).await
    }

    /// Returns a page of a function's secrets, without their values, the newest first.
    pub async fn secrets(
        &self,
        id: FunctionId,
        cursor: Option<&str>,
    ) -> Result<Page<SecretBody>, ClientError> {
        self.page(&format!("/functions/{id}/secrets"), cursor).await
    }

    /// Deletes a secret of a function.
    pub async fn delete_secret(&self, id: FunctionId, name: &str) -> Result<(), ClientError> {
        let path = format!("/functions/{id}/secrets/{name}");
        self.http.send(self.request(Method::DELETE, &path)).await.map(drop)
    }

    /// Makes a key that signs calls of a function. The answer alone has its secret.
    pub async fn create_key(
        &self,
        id: FunctionId,
        key: &SigningKeyRequest,
    ) -> Result<NewSigningKeyBody, ClientError> {
        self.http.json(self.request(Method::POST, &format!("/functions/{id}/keys")).json(key)).await
    }

    /// Returns a page of a function's signing keys, without their secrets, the newest first.
    pub async fn keys(
        &self,
        id: FunctionId,
        cursor: Option<&str>,
    ) -> Result<Page<SigningKeyBody>, ClientError> {
        self.page(&format!("/functions/{id}/keys"), cursor).await
    }

    /// Deletes a signing key of a function.
    pub async fn delete_key(&self, id: FunctionId, key: SigningKeyId) -> Result<(), ClientError> {
        let path = format!("/functions/{id}/keys/{key}");
        self.http.send(self.request(Method::DELETE, &path)).await.map(drop)
    }
}
