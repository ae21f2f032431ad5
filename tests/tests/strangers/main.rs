//! What strangers' boards, clocks and files say: lines, stamps and exports of kinds that were made elsewhere, through the real programs. A
//! file a kind; each case states what is expected of it.

mod clocks;
mod either_way;
mod files;
mod layouts;
mod lines;
