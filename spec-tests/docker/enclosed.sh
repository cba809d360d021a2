# Starts the dockerd of another root directory in this mount, process and network namespace, which has to be new.
# arguments: ROOT DIRECTORY FLAG...
# ROOT stays as it is. Everything that lasts goes to DIRECTORY, which has the same path inside as outside.
set -eu
root=$1 dir=$2
shift 2
busybox ip link set lo up
mkdir "$dir/world"
mount -t tmpfs world "$dir/world"
mkdir "$dir/world/changes" "$dir/world/work" "$dir/world/root"
mount -t overlay world -o "lowerdir=$root,upperdir=$dir/world/changes,workdir=$dir/world/work" "$dir/world/root"
cd "$dir/world/root"
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs run run
mkdir -p ".$dir"
mount --bind "$dir" ".$dir"
# runc pivots too, which the first root of all does not let it do; so this is a mount of its own.
pivot_root . mnt
cd /
umount --lazy mnt
exec dockerd --host "unix://$dir/docker.sock" --data-root "$dir/data" "$@"
