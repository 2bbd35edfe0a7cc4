//! The initial file system of a test machine: a cpio archive, unpacked by the kernel into memory.
//!
//! Not compressed, since unpacking runs in emulated code and copying doesn't cost the host much.

use std::collections::BTreeSet;
use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};
use cpio::newc::{Builder, trailer};
use walkdir::WalkDir;

/// File types, as in `st_mode`.
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const LINK: u32 = 0o120_000;

/// An archive being written. Later entries win over earlier ones of the same path.
#[derive(Debug)]
pub(crate) struct Image {
    file: BufWriter<File>,
    /// The folders that are there.
    folders: BTreeSet<PathBuf>,
    next_inode: u32,
}

impl Image {
    /// Begins an archive in an empty file.
    pub(crate) fn new(file: File) -> Self {
        Self { file: BufWriter::with_capacity(1 << 20, file), folders: BTreeSet::new(), next_inode: 1 }
    }

    /// Begins an archive with the content of one that was left open, see [`Image::finish_open`].
    pub(crate) fn extend(
        mut file: File,
        base: &mut File,
        folders: impl Iterator<Item = PathBuf>,
    ) -> Result<Self> {
        // Before there is a buffer, so that the kernel can copy from file to file.
        io::copy(base, &mut file).context("copying the beginning of an archive")?;
        let mut image = Self::new(file);
        image.folders.extend(folders);
        Ok(image)
    }

    /// Ends the archive and gives its file.
    pub(crate) fn finish(self) -> Result<File> {
        let file = trailer(self.file).context("ending the archive")?;
        file.into_inner().context("writing the archive")
    }

    /// Leaves the archive without an end, to be the beginning of others, which need to know the folders that are in it.
    pub(crate) fn finish_open(mut self) -> Result<BTreeSet<PathBuf>> {
        self.file.flush().context("writing the archive")?;
        Ok(self.folders)
    }

    /// Adds a file with this content.
    pub(crate) fn bytes(&mut self, path: impl AsRef<Path>, content: &[u8], permissions: u32) -> Result<()> {
        self.parents(path.as_ref())?;
        self.entry(path.as_ref(), REGULAR | permissions, content)
    }

    /// Adds a symbolic link.
    pub(crate) fn link(&mut self, path: impl AsRef<Path>, target: &str) -> Result<()> {
        self.parents(path.as_ref())?;
        self.entry(path.as_ref(), LINK | 0o777, target.as_bytes())
    }

    /// Adds a file, a link, or a folder with all that is in it, from the host.
    pub(crate) fn copy(&mut self, path: impl AsRef<Path>, from: &Path) -> Result<()> {
        let path = path.as_ref();
        // Through a link that is named itself, but not through those inside: that's what one means by naming it.
        let named = fs::canonicalize(from).with_context(|| format!("no {} to take along", from.display()))?;
        if !named.is_dir() {
            self.parents(path)?;
            return self.copy_one(path, &named, &fs::metadata(&named)?);
        }
        self.folder(path)?;
        for (inside, meta) in walk(&named)? {
            self.copy_one(&path.join(&inside), &named.join(&inside), &meta)?;
        }
        Ok(())
    }

    fn copy_one(&mut self, path: &Path, from: &Path, meta: &Metadata) -> Result<()> {
        let reading = || format!("reading {}", from.display());
        let kind = meta.file_type();
        if !kind.is_file() {
            // A link may stand for a folder; either way it must not be made a folder again.
            self.folders.insert(relative(path)?);
        }
        let content = if kind.is_file() {
            fs::read(from).with_context(reading)?
        } else if kind.is_symlink() {
            fs::read_link(from).with_context(reading)?.as_os_str().as_bytes().to_vec()
        } else if kind.is_socket() {
            return Ok(()); // The archive format has no sockets, and nobody listens on a copied one.
        } else {
            Vec::new()
        };
        let header = |name: &str| {
            Builder::new(name)
                .mode(meta.mode())
                .uid(meta.uid())
                .gid(meta.gid())
                .mtime(u32::try_from(meta.mtime()).unwrap_or_default())
                .rdev_major(rustix::fs::major(meta.rdev()))
                .rdev_minor(rustix::fs::minor(meta.rdev()))
        };
        self.write(path, header, &content)
    }

    /// Adds a folder and those above it, unless they are there: the kernel would replace a link by the folder.
    pub(crate) fn folder(&mut self, path: &Path) -> Result<()> {
        let path = relative(path)?;
        let mut above: Vec<&Path> = path.ancestors().filter(|part| *part != Path::new("")).collect();
        above.reverse();
        for folder in above {
            if self.folders.insert(folder.to_owned()) {
                self.entry(folder, DIRECTORY | 0o755, &[])?;
            }
        }
        Ok(())
    }

    fn parents(&mut self, path: &Path) -> Result<()> {
        path.parent().map_or(Ok(()), |parent| self.folder(parent))
    }

    fn entry(&mut self, path: &Path, mode: u32, content: &[u8]) -> Result<()> {
        self.write(path, |name| Builder::new(name).mode(mode), content)
    }

    fn write(&mut self, path: &Path, header: impl Fn(&str) -> Builder, content: &[u8]) -> Result<()> {
        let name = relative(path)?;
        let Some(name) = name.to_str() else { bail!("{} is not a UTF-8 name", path.display()) };
        let length = u32::try_from(content.len()).with_context(|| format!("{name} is beyond 4 GiB"))?;
        let header = header(name).ino(self.next_inode);
        self.next_inode += 1;
        let mut entry = header.write(&mut self.file, length);
        entry
            .write_all(content)
            .and_then(|()| entry.finish().map(drop))
            .with_context(|| format!("adding {name}"))
    }
}

/// A guest's path without its leading slash, as archives have it.
fn relative(path: &Path) -> Result<PathBuf> {
    let mut relative = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => relative.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => bail!("{} must not contain ..", path.display()),
        }
    }
    Ok(relative)
}

/// All that is below a folder, folders before what is in them, sorted, so that the same tree gives the same archive.
fn walk(top: &Path) -> Result<Vec<(PathBuf, Metadata)>> {
    let entries = WalkDir::new(top).min_depth(1).sort_by_file_name().into_iter();
    entries
        .map(|entry| {
            let entry = entry.with_context(|| format!("reading {}", top.display()))?;
            Ok((entry.path().strip_prefix(top)?.to_owned(), entry.metadata()?))
        })
        .collect()
}
