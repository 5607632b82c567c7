#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tcpecho_fuzz::fault(data));
