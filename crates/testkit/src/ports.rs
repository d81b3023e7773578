use std::net::TcpListener;

/// Finds ports that are free, and different from each other.
pub fn free_ports<const N: usize>() -> [u16; N] {
    let listen = || TcpListener::bind("127.0.0.1:0").unwrap_or_else(|fault| panic!("a free port: {fault}"));
    let held: [TcpListener; N] = std::array::from_fn(|_| listen());
    held.each_ref().map(|listener| match listener.local_addr() {
        Ok(address) => address.port(),
        Err(fault) => panic!("a port: {fault}"),
    })
}

/// Finds a port that is free.
pub fn free_port() -> u16 {
    let [port] = free_ports();
    port
}
