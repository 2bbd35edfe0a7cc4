//! The names of Debian's kernel packages, and which of two kernels is the newer one.

/// The flavour everything runs on: small, and the drivers a virtual machine needs are built in.
const FLAVOUR: &str = "-cloud-amd64";

/// A kernel's release as `uname -r` prints it, ordered by version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Release {
    /// The numbers of the text, in order, which is what the comparison looks at first.
    numbers: Vec<u32>,
    text: String,
}

impl Release {
    /// Of a kernel with all three version numbers. The packages that always depend on the latest kernel of a series have
    /// two (`linux-image-6.12-cloud-amd64`) and hold no kernel.
    fn parse(text: &str) -> Option<Self> {
        let version = text.strip_suffix(FLAVOUR)?;
        let upstream: Vec<&str> = version.split(['+', '-']).next()?.split('.').collect();
        if upstream.len() < 3 || upstream.iter().any(|part| part.parse::<u32>().is_err()) {
            return None;
        }
        let digits = version.split(|c: char| !c.is_ascii_digit()).filter(|run| !run.is_empty());
        let numbers = digits.map(|run| run.parse().ok()).collect::<Option<_>>()?;
        Some(Self { numbers, text: text.to_owned() })
    }

    /// As `uname -r` prints it.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The first two numbers: `6.12`.
    pub(super) fn series(&self) -> String {
        self.numbers[..2].iter().map(u32::to_string).collect::<Vec<_>>().join(".")
    }

    /// Whether this is a kernel of the series or version `wanted`.
    pub(super) fn is_in_series(&self, wanted: &str) -> bool {
        let wanted: Option<Vec<u32>> = wanted.split('.').map(|part| part.parse().ok()).collect();
        wanted.is_some_and(|wanted| self.numbers.starts_with(&wanted))
    }
}

/// A package that holds a kernel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    pub(super) release: Release,
    /// From 6.19 on `linux-image-*` is empty and depends on `linux-binary-*` and `linux-modules-*`. Ordered after
    /// `release`, so that of the two names for one release the greater is the one that holds the kernel.
    is_split: bool,
}

impl Candidate {
    /// From the name of a package.
    pub(super) fn parse(package: &str) -> Option<Self> {
        let (release, is_split) = match package.strip_prefix("linux-binary-") {
            Some(release) => (release, true),
            None => (package.strip_prefix("linux-image-")?, false),
        };
        // `linux-binary-unsigned-*` and `linux-image-rt-*` begin with no number and fall out here.
        Some(Self { release: Release::parse(release)?, is_split })
    }

    /// The packages to download.
    pub(super) fn packages(&self) -> Vec<String> {
        let release = self.release.text();
        if self.is_split {
            vec![format!("linux-binary-{release}"), format!("linux-modules-{release}")]
        } else {
            vec![format!("linux-image-{release}")]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cut of what the mirror had.
    const PACKAGES: [&str; 13] = [
        "linux-image-6.1.0-9-cloud-amd64",
        "linux-image-6.1.0-56-cloud-amd64",
        "linux-image-6.1.0-56-cloud-amd64-dbg",
        "linux-image-6.1.0-56-amd64",
        "linux-image-cloud-amd64",
        "linux-image-6.12-cloud-amd64",
        "linux-image-6.12.90+deb12-cloud-amd64",
        "linux-image-6.12.90+deb12.1-cloud-amd64",
        "linux-image-6.18.15+deb13-cloud-amd64",
        "linux-image-7.3.4+deb13-cloud-amd64",
        "linux-binary-7.3.4+deb13-cloud-amd64",
        "linux-binary-unsigned-7.3.9+deb13-cloud-amd64",
        "linux-binary-6.19.14+deb13-cloud-amd64",
    ];

    fn best(series: &str) -> Option<Vec<String>> {
        let candidates = PACKAGES.iter().filter_map(|package| Candidate::parse(package));
        candidates.filter(|found| found.release.is_in_series(series)).max().map(|found| found.packages())
    }

    #[test]
    fn the_latest_of_a_series_is_chosen_by_number() {
        assert_eq!(best("6.1"), Some(vec!["linux-image-6.1.0-56-cloud-amd64".to_owned()]));
        assert_eq!(best("6.12"), Some(vec!["linux-image-6.12.90+deb12.1-cloud-amd64".to_owned()]));
        assert_eq!(best("6.18.15"), Some(vec!["linux-image-6.18.15+deb13-cloud-amd64".to_owned()]));
        assert_eq!(best("5.10"), None);
    }

    #[test]
    fn a_split_kernel_is_both_of_its_packages() {
        let both = ["linux-binary-7.3.4+deb13-cloud-amd64", "linux-modules-7.3.4+deb13-cloud-amd64"];
        assert_eq!(best("7.3"), Some(both.map(str::to_owned).to_vec()));
    }

    #[test]
    fn the_newest_is_the_one_with_the_greatest_numbers() {
        let newest = PACKAGES.iter().filter_map(|package| Candidate::parse(package)).max().expect("some");
        assert_eq!(newest.release.text(), "7.3.4+deb13-cloud-amd64");
        assert_eq!(newest.release.series(), "7.3");
    }
}
