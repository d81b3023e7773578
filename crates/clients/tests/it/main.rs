mod http;
mod platform;
mod server;
