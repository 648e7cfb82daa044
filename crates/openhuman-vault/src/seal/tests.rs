use super::*;
use crate::testing::unhex;

const BOTH: [Backend; 2] = [Backend::Ring, Backend::AesGcm];
