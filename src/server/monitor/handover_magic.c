/* See handover.h. A file of its own, so that no compiler writes these octets into code. */
#include "server/monitor/handover.h"

const char handover_magic[8] = {'v', 'a', 'l', 's', 't', 'a', 't', '0' + HANDOVER_VERSION};
