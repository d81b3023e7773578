//! The protocol, and the real program with the real language workers behind a real socket.

mod frames;
