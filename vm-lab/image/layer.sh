# shellcheck shell=sh
# The image: the base plus the lab's configuration plus the agent, packed as a squashfs beside kernel and initrd.
# Sourced by build-image.sh.
: "${here:?}" "${base:?}" "${agent:?}"

build_layer() {
  target=$1
  chmod 755 "$target"
  root=$target/rootfs

  say 'layer: configuration and agent'
  # Hard links: nothing below may write into a file of the base in place; install(1), ln and rm replace.
  cp -al "$base/rootfs" "$root"
  install_files "$here/files" "$root"
  install_agent "$root"
  enable_units "$root"
  ln "$base/vmlinuz" "$base/initrd.img" "$target/"

  say 'mksquashfs: root file system'
  mksquashfs "$root" "$target/rootfs.squashfs" -comp zstd -Xcompression-level 5 -b 128K -noappend -no-xattrs -no-progress -quiet \
    -e "$root/boot" -wildcards -e 'var/cache/apt/*' 'var/lib/apt/lists/*'
  chmod 644 "$target/rootfs.squashfs"
  rm -rf -- "$root"
}

install_files() {
  (cd "$1" && find . -type f) | while IFS= read -r file; do
    install -D -m 644 "$1/$file" "$2/$file"
  done
}

install_agent() {
  install -D -m 755 "$agent/muster-agent" "$1/usr/sbin/muster-agent"
  for part in "$agent"/lib/*.sh; do
    install -D -m 644 "$part" "$1/usr/lib/muster-agent/$(basename "$part")"
  done
  install -D -m 755 "$agent/muster-mounts" "$1/usr/lib/muster-agent/muster-mounts"
  for unit in muster-agent.service muster-mounts.service; do
    install -D -m 644 "$agent/$unit" "$1/lib/systemd/system/$unit"
  done
}

enable_units() {
  chroot "$1" systemctl --quiet enable muster-agent.service muster-mounts.service systemd-networkd.service
  # Work that a machine in RAM has no use for. Each process costs about 100 ms under emulation.
  for unit in systemd-bless-boot.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
    fstrim.timer systemd-pstore.service systemd-journal-flush.service systemd-logind.service systemd-binfmt.service \
    proc-sys-fs-binfmt_misc.automount systemd-update-utmp.service systemd-update-utmp-runlevel.service \
    modprobe@configfs.service modprobe@drm.service modprobe@fuse.service modprobe@efi_pstore.service \
    sys-fs-fuse-connections.mount sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
    dev-hugepages.mount systemd-network-generator.service systemd-machine-id-commit.service; do
    ln -sf /dev/null "$1/etc/systemd/system/$unit"
  done
}
