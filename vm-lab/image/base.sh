# shellcheck shell=sh
# The base layer: a Debian root file system, its kernel and a dracut initrd that fetches a squashfs over HTTP.
# Sourced by build-image.sh.
: "${here:?}" "${package_cache:?}" "${mirror:?}"

build_base() {
  target=$1
  root=$target/rootfs
  chmod 755 "$target"

  say 'debootstrap: Debian 12, minbase'
  debootstrap --variant=minbase --include=ca-certificates --cache-dir="$package_cache" bookworm "$root" "$mirror"

  mount -t proc proc "$root/proc"
  mount -t sysfs sysfs "$root/sys"
  mount --rbind /dev "$root/dev"

  say 'apt: packages of the image'
  prepare_apt "$root"
  # INITRD=No: the kernel's postinst would build an initrd that nobody uses. The own one is built below.
  # shellcheck disable=SC2046 # one word per package is the purpose
  chroot "$root" env INITRD=No apt-get install -y -q --no-install-recommends \
    $(sed -e 's/#.*//' "$here/packages.txt")
  find "$root/var/cache/apt/archives" -name '*.deb' -exec cp -n -t "$package_cache" {} +

  kernel_version=$(basename "$(find "$root/lib/modules" -mindepth 1 -maxdepth 1 -type d)")
  say "dracut: initrd for kernel $kernel_version"
  build_initrd "$root" "$kernel_version"
  install -m 644 "$root/boot/vmlinuz-$kernel_version" "$target/vmlinuz"
  # dracut writes mode 600; a server that is not root must be able to read it.
  install -m 644 "$root/boot/initrd.img" "$target/initrd.img"

  umount "$root/proc" "$root/sys"
  umount -l "$root/dev"
  strip_root "$root"
}

prepare_apt() {
  printf '#!/bin/sh\nexit 101\n' >"$1/usr/sbin/policy-rc.d"
  chmod 755 "$1/usr/sbin/policy-rc.d"
  printf 'force-unsafe-io\npath-exclude=/usr/share/%s/*\npath-exclude=/usr/share/%s/*\npath-exclude=/usr/share/%s/*\n' \
    man doc locale >"$1/etc/dpkg/dpkg.cfg.d/muster-lab"
  printf 'deb %s bookworm main\ndeb %s bookworm-updates main\ndeb %s bookworm-security main\n' \
    "$mirror" "$mirror" "${MUSTER_DEBIAN_SECURITY_MIRROR:-http://deb.debian.org/debian-security}" >"$1/etc/apt/sources.list"
  find "$package_cache" -name '*.deb' -exec cp -t "$1/var/cache/apt/archives" {} +
  chroot "$1" apt-get update -q
}

# network-legacy: with systemd-networkd, dracut 059's choice by default, the initrd waits for ever and fetches nothing.
# systemd stays in: its systemd-tmpfiles-setup.service is what carries the token from the second initrd into /run.
# dm stays in: dmsquash-live needs it. --drivers: all that a QEMU machine with this kernel needs, half the size and time.
build_initrd() {
  drivers='virtio_pci virtio_net virtio_blk virtio_scsi virtio_rng virtio_console virtio_balloon'
  drivers="$drivers nvme ahci sd_mod sr_mod squashfs loop overlay iso9660 ext4 vfat dm_mod"
  # dracut 059 makes these folders only after sysroot.mount has failed for want of them, and then mounts by hand.
  printf 'd /run/%s 0755 root root -\n' overlayfs ovlwork >"$1/tmp/overlay.conf"
  cp -R "$here/../../boot-assets/dracut/90muster" "$1/usr/lib/dracut/modules.d/"
  chroot "$1" dracut --force --no-hostonly --no-hostonly-cmdline --zstd \
    --add 'dmsquash-live livenet overlayfs network-legacy muster' \
    --omit 'systemd-networkd network-manager connman iscsi nbd nfs cifs fcoe fcoe-uefi lunmask multipath mdraid lvm crypt btrfs plymouth i18n bluetooth' \
    --install sha256sum --include /tmp/overlay.conf /usr/lib/tmpfiles.d/live-overlay.conf --drivers "$drivers" --kver "$2" /boot/initrd.img
  chroot "$1" lsinitrd /boot/initrd.img >"$1/tmp/initrd.list"
  for need in systemd-tmpfiles-setup.service bin/systemd-tmpfiles live-overlay.conf bin/curl bin/sha256sum sbin/dhclient virtio_net.ko squashfs.ko softdog.ko muster-watchdog.service; do
    grep -q "$need" "$1/tmp/initrd.list" || {
      say "the initrd lacks $need"
      return 1
    }
  done
}

# What only the build needed, what must be new on each machine, and what a netboot image never reads.
strip_root() {
  find "$1/boot" "$1/var/cache/apt" "$1/var/lib/apt/lists" "$1/var/log" -type f -delete
  rm -rf "$1/usr/share/doc" "$1/usr/share/man" "$1/usr/share/locale" "$1/usr/share/info"
  rm -rf "$1/usr/lib/x86_64-linux-gnu/perl-base/unicore" "$1/tmp" "$1/var/tmp"
  mkdir -m 1777 "$1/tmp" "$1/var/tmp"
  rm -f "$1/usr/sbin/policy-rc.d" "$1/etc/dpkg/dpkg.cfg.d/muster-lab" "$1/vmlinuz" "$1/initrd.img"
  rm -f "$1"/etc/ssh/ssh_host_*_key "$1"/etc/ssh/ssh_host_*_key.pub "$1/var/lib/dbus/machine-id"
  : >"$1/etc/machine-id"
  : >"$1/etc/resolv.conf"
  : >"$1/etc/hostname"
}
