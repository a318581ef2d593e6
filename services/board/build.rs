//! The page's files are part of the program: another file there is another program.

fn main() {
    println!("cargo::rerun-if-changed=dist");
}
