//go:build unix

package sqlite

import "golang.org/x/sys/unix"

// free is the room on the disk that a folder is on, in bytes; -1 where that
// can't be told.
func free(folder string) int64 {
	var disk unix.Statfs_t
	if err := unix.Statfs(folder, &disk); err != nil {
		return -1
	}
	return int64(disk.Bavail) * int64(disk.Bsize) //nolint:gosec,unconvert // no disk has that many; the types differ by system
}
