//! The frames as properties, and the proxy between a client and a server made of a few bytes.

mod frames;
mod proxy;
