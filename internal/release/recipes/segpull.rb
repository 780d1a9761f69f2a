class Segpull < Formula
  desc "Pull container images from several mirrors at once"
  homepage "https://github.com/segpull/segpull"
  version "{{version}}"
  license "Apache-2.0"

  on_macos do
    on_intel do
      url "{{url "darwin/amd64"}}"
      sha256 "{{sum "darwin/amd64"}}"
    end
    on_arm do
      url "{{url "darwin/arm64"}}"
      sha256 "{{sum "darwin/arm64"}}"
    end
  end

  on_linux do
    on_intel do
      url "{{url "linux/amd64"}}"
      sha256 "{{sum "linux/amd64"}}"
    end
    on_arm do
      url "{{url "linux/arm64"}}"
      sha256 "{{sum "linux/arm64"}}"
    end
  end

  def install
    bin.install "segpull"
    man1.install "segpull.1"
    bash_completion.install "completions/segpull.bash" => "segpull"
    zsh_completion.install "completions/_segpull"
    fish_completion.install "completions/segpull.fish"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/segpull --version")
  end
end
