/* `valija rados`: pools of maildrops in Ceph RADOS, made, checked, swept, brought in and out. */
#ifndef CLI_RADOS_H
#define CLI_RADOS_H

int rados_main(int argc, char **argv);

#endif
