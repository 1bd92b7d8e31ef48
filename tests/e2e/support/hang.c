// Simulates a disk that hangs: fsync and fdatasync do not return while the file named by HANG_SYNC exists.
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
