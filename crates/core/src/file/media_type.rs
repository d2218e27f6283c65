//! The media type of a file, from the ending of its name.

/// The Content-Type of a file called `name`: that of its ending, with `charset=utf-8` for text;
/// `application/octet-stream` if the ending is not known.
pub fn media_type(name: &str) -> String {
    let guessed = match mime_guess::from_path(name).first_raw() {
        // RFC 9239 §6 has one name for scripts of every ending.
        Some("application/javascript") => "text/javascript",
        Some(known) => known,
        None => "application/octet-stream",
    };
    if guessed.starts_with("text/") {
        format!("{guessed};charset=utf-8")
    } else {
        guessed.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_web_is_made_of_has_its_type() {
        for (name, expected) in [
            ("index.html", "text/html;charset=utf-8"),
            ("style.CSS", "text/css;charset=utf-8"),
            ("a/b.c/app.js", "text/javascript;charset=utf-8"),
            ("app.mjs", "text/javascript;charset=utf-8"),
            ("data.json", "application/json"),
            ("module.wasm", "application/wasm"),
            ("image.svg", "image/svg+xml"),
            ("image.avif", "image/avif"),
            ("image.webp", "image/webp"),
            ("font.woff2", "font/woff2"),
            ("film.mp4", "video/mp4"),
            ("notes.txt", "text/plain;charset=utf-8"),
            ("README.md", "text/markdown;charset=utf-8"),
            ("archive.tar.gz", "application/gzip"),
            ("paper.pdf", "application/pdf"),
            ("app.webmanifest", "application/manifest+json"),
            ("no-ending", "application/octet-stream"),
            ("odd.zzzzz", "application/octet-stream"),
        ] {
            assert_eq!(media_type(name), expected, "{name}");
        }
    }
}
