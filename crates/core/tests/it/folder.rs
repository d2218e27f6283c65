//! Folders: from the path of a request to a file in them, and to nothing outside.

use std::path::PathBuf;

use trilane_core::{Dotfiles, Folder, Found, Symlinks};

use crate::scratch::Scratch;

fn served(scratch: &Scratch) -> Folder {
    Folder {
        root: scratch.path().join("site"),
        indexes: vec!["index.htm".to_owned(), "index.html".to_owned()],
        dotfiles: Dotfiles::Hide,
        symlinks: Symlinks::Beneath,
    }
}

fn filled() -> Scratch {
    let scratch = Scratch::new();
    for name in [
        "site/a.txt",
        "site/sub/b.txt",
        "site/sub/index.html",
        "site/.env",
        "site/.git/config",
        "site/empty/deep/c.txt",
        "secret.txt",
        "site-of-another/d.txt",
    ] {
        scratch.file(name, name);
    }
    scratch
}

fn file(path: &str) -> Found {
    Found::File(PathBuf::from(path))
}

#[test]
fn files_and_indexes_are_found() {
    let scratch = filled();
    let folder = served(&scratch);
    for (path, expected) in [
        ("a.txt", file("a.txt")),
        ("/a.txt", Found::Nothing),
        ("sub/b.txt", file("sub/b.txt")),
        ("sub/", file("sub/index.html")),
        ("sub", Found::NeedsSlash),
        ("a.txt/", Found::Nothing),
        ("a.txt/b", Found::Nothing),
        ("nothing", Found::Nothing),
        ("empty/", Found::Nothing),
        ("empty", Found::Nothing),
        ("/", Found::Nothing),
    ] {
        assert_eq!(folder.find(path).unwrap(), expected, "{path}");
    }
    scratch.file("site/index.htm", "");
    assert_eq!(folder.find("").unwrap(), file("index.htm"));
}

#[test]
fn dotfiles_are_hidden_unless_they_are_served() {
    let scratch = filled();
    let hiding = served(&scratch);
    let serving = Folder {
        dotfiles: Dotfiles::Serve,
        ..hiding.clone()
    };
    for path in [".env", ".git/config"] {
        assert_eq!(hiding.find(path).unwrap(), Found::Nothing);
        assert_eq!(serving.find(path).unwrap(), file(path));
    }
}

#[test]
fn no_path_leads_out() {
    let scratch = filled();
    let outside = scratch.path().join("secret.txt");
    for symlinks in [Symlinks::Beneath, Symlinks::Anywhere] {
        let folder = Folder {
            symlinks,
            dotfiles: Dotfiles::Serve,
            ..served(&scratch)
        };
        for path in [
            "../secret.txt",
            "/../secret.txt",
            "sub/../../secret.txt",
            "sub/..",
            "..",
            "../",
            "../site-of-another/d.txt",
            "..\\secret.txt",
            "sub\\..\\..\\secret.txt",
            "./a.txt",
            "a.txt\0",
            "\0",
            "//",
            outside.to_str().unwrap(),
            &format!("/{}", outside.display()),
        ] {
            assert_eq!(folder.find(path).unwrap(), Found::Nothing, "{path:?}");
        }
    }
}

#[cfg(unix)]
#[test]
fn links_that_lead_out_are_not_there_unless_they_are_trusted() {
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::symlink;
    let scratch = filled();
    let root = scratch.path().join("site");
    symlink("a.txt", root.join("inside")).unwrap();
    symlink("sub", root.join("folder-inside")).unwrap();
    symlink("../secret.txt", root.join("outside")).unwrap();
    symlink(scratch.path().join("secret.txt"), root.join("absolute")).unwrap();
    symlink("..", root.join("up")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    // On Linux this leads to the folder above the root, though it names nothing that leads there.
    let above = std::fs::File::open(scratch.path()).unwrap();
    symlink(format!("/proc/self/fd/{}", above.as_raw_fd()), root.join("magic")).unwrap();
    let careful = served(&scratch);
    let trusting = Folder {
        symlinks: Symlinks::Anywhere,
        ..careful.clone()
    };
    for (path, inside) in [
        ("inside", true),
        ("folder-inside/b.txt", true),
        ("outside", false),
        ("absolute", false),
    ] {
        let found = if inside { file(path) } else { Found::Nothing };
        assert_eq!(careful.find(path).unwrap(), found, "{path}");
        assert_eq!(trusting.find(path).unwrap(), file(path), "{path}");
    }
    for path in ["up/secret.txt", "up/site/a.txt", "loop", "magic/secret.txt"] {
        assert_eq!(careful.find(path).unwrap(), Found::Nothing, "{path}");
    }
    assert_eq!(trusting.find("loop").unwrap(), Found::Nothing);
    if cfg!(target_os = "linux") {
        assert_eq!(
            trusting.find("magic/secret.txt").unwrap(),
            file("magic/secret.txt")
        );
    }
}

#[cfg(unix)]
#[test]
fn a_pipe_in_a_folder_is_nothing() {
    let scratch = filled();
    let made = std::process::Command::new("mkfifo")
        .arg(scratch.path().join("site/pipe"))
        .status();
    assert!(made.unwrap().success());
    assert_eq!(served(&scratch).find("pipe").unwrap(), Found::Nothing);
}
