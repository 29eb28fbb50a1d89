/* The configuration as a sealed memory file between the monitor and its children; see config.h. */
#include "config/config.h"

#include "base/descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define CONFIG_MAGIC 0x564a4331u
#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

int config_seal(const struct config *config, struct err *err)
{
	struct config *copy = malloc(sizeof(*copy));
	int fd;

	if (!copy)
		return err_set(err, EX_OSERR, "out of memory");
	*copy = *config;
	copy->magic = CONFIG_MAGIC;
	copy->size = sizeof(*copy);
	fd = seal_octets("valija.conf", copy, sizeof(*copy));
	if (fd < 0)
		err_sys(err, EX_OSERR, errno, "the configuration's memory file");
	free(copy);
	return fd;
}

const struct config *config_map(int fd, struct err *err)
{
	const struct config *config;
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);
	void *at;

	if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &st) < 0 ||
	    st.st_size != sizeof(*config)) {
		err_set(err, EX_SOFTWARE, "not a configuration of this program");
		return NULL;
	}
	at = mmap(NULL, sizeof(*config), PROT_READ, MAP_PRIVATE, fd, 0);
	if (at == MAP_FAILED) {
		err_sys(err, EX_OSERR, errno, "mapping the configuration");
		return NULL;
	}
	config = at;
	if (config->magic != CONFIG_MAGIC || config->size != sizeof(*config)) {
		err_set(err, EX_SOFTWARE, "not a configuration of this program");
		munmap(at, sizeof(*config));
		return NULL;
	}
	return config;
}
