// While the file that HANG_SYNC names exists, fsync and fdatasync do not return: a disk that hangs.
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static void hang(void) {
    const char *file = getenv("HANG_SYNC");
    while (file && access(file, F_OK) == 0) usleep(10000);
}

int fdatasync(int fd) {
    hang();
    return syscall(SYS_fdatasync, fd);
}

int fsync(int fd) {
    hang();
    return syscall(SYS_fsync, fd);
}
