/* A disk whose power can be cut: keeps the state of each file as it was at its last fsync.
 *
 * Preloaded into a process (LD_PRELOAD). After each fsync or fdatasync of a file in $DISK_FOLDER, the whole file is
 * copied to $DISK_KEPT, under the same name. A copy that is not complete does not count. A file that was deleted comes
 * back, unless its folder was synced after that.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void forget_deleted(const char *folder, const char *kept) {
    char path[8192];
    DIR *names = opendir(kept);
    struct dirent *each;
    while (names != NULL && (each = readdir(names)) != NULL) {
        snprintf(path, sizeof path, "%s/%s", folder, each->d_name);
        if (access(path, F_OK) == 0) continue;
        snprintf(path, sizeof path, "%s/%s", kept, each->d_name);
        unlink(path);
    }
    if (names != NULL) closedir(names);
}

static void keep(int file) {
    const char *folder = getenv("DISK_FOLDER"), *kept = getenv("DISK_KEPT");
    char link[64], path[4096], part[8192], whole[8192], bytes[65536];
    if (folder == NULL || kept == NULL) return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return;
    path[length] = 0;
    if (strcmp(path, folder) == 0) forget_deleted(folder, kept);
    if (strncmp(path, folder, strlen(folder)) != 0 || path[strlen(folder)] != '/') return;
    const char *name = strrchr(path, '/') + 1;
    snprintf(part, sizeof part, "%s/%s.part", kept, name);
    snprintf(whole, sizeof whole, "%s/%s", kept, name);
    /* Read by the descriptor that is there: closing another one would drop SQLite's locks on the file. */
    int to = open(part, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    off_t at = 0;
    ssize_t count;
    if (to < 0) return;
    while ((count = pread(file, bytes, sizeof bytes, at)) > 0) {
        if (write(to, bytes, (size_t)count) != count) abort();
        at += count;
    }
    close(to);
    if (count == 0) rename(part, whole);
}

static int synced(const char *name, int file) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    int status = real(file);
    if (status == 0) keep(file);
    return status;
}

int fsync(int file) { return synced("fsync", file); }
int fdatasync(int file) { return synced("fdatasync", file); }
