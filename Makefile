# SPDX-License-Identifier: GPL-2.0-or-later
#
# One make for everything. Each folder lists its objects in its own build.mk:
#
#   core-y += core/error.o                  always
#   ui-$(CONFIG_PNG) += ui/png.o            where configure found libpng
#   uses-ui/png.o = PNG                     adds PNG_CFLAGS and PNG_LIBS
#   CFLAGS-core/x.o = -O3                   flags for one object
#
# core-y, loop-y and schema-y are in all programs; block-y and security-y in
# tern and the image tools; tools-y in the image tools; mem-y, accel-y,
# target-y, hw-y, net-y, chardev-y, ui-y, migration-y and monitor-y in tern.
# A folder below a top folder (hw/pci/) adds to the top folder's variable.
# Programs are linked from objects, never from archives: linker sets would be
# lost.
#
# BUILD=folder chooses a build folder made by ./configure --build-dir=folder.
# V=1 prints commands.

BUILD ?= build
MAKEFLAGS += -rR --no-print-directory
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

ifeq ($(V),1)
  Q :=
  say := @:
else
  Q := @
  say := @printf '%-7s %s\n'
endif

# ---- configuration

no_config := clean distclean help lint format
ifneq ($(filter-out $(no_config),$(or $(MAKECMDGOALS),all)),)
  include $(BUILD)/config.mk
  configured := y
endif

$(BUILD)/config.mk: configure VERSION
	@if [ -f $(BUILD)/config.status ]; then sh $(BUILD)/config.status; \
	else ./configure --build-dir=$(BUILD); fi

$(BUILD)/config.flags: ;
$(BUILD)/config.h: ;

# ---- objects

build_mks := $(filter-out build%,$(wildcard */build.mk */*/build.mk))
include $(build_mks)

schema_src := $(wildcard schema/*.schema)
ifneq ($(wildcard schema/schema.awk),)
  schema_h := $(BUILD)/schema/schema.h
  schema-y += schema/schema.o
endif

common_objs := $(core-y) $(loop-y) $(schema-y)
tool_objs := $(common_objs) $(block-y) $(security-y) $(tools-y)
tern_objs := $(common_objs) $(block-y) $(security-y) $(mem-y) $(accel-y) \
             $(target-y) $(hw-y) $(net-y) $(chardev-y) $(ui-y) \
             $(migration-y) $(monitor-y)

# ---- programs: built when their main file is there
# name, main file, objects

programs :=
define program
ifneq ($(wildcard $(2)),)
programs += $(1)
$(1)_objs := $(patsubst %.c,%.o,$(2)) $(3)
endif
endef
$(eval $(call program,tern,main.c,$(tern_objs)))
$(eval $(call program,tern-img,tools/img.c,$(tool_objs)))
$(eval $(call program,tern-io,tools/io.c,$(tool_objs)))
$(eval $(call program,tern-nbd,tools/nbd.c,$(tool_objs)))
$(eval $(call program,tern-storage-daemon,tools/storage-daemon.c,$(tool_objs) \
    $(daemon-y)))
$(eval $(call program,tern-bridge-helper,tools/bridge-helper.c,$(bridge-helper-y)))
$(eval $(call program,tern-pr-helper,tools/pr-helper.c,$(common_objs) \
    $(security-y)))

# Names under which scripts know the programs.
compat_tern := qemu-system-x86_64 qemu-system-i386 qemu-kvm kvm
compat_tern-img := qemu-img
compat_tern-io := qemu-io
compat_tern-nbd := qemu-nbd
compat_tern-storage-daemon := qemu-storage-daemon
compat_tern-pr-helper := qemu-pr-helper
compat_links := $(foreach p,$(programs),$(compat_$(p)))

# ---- tests

unit_tests := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/*.c))
contract_tests := $(patsubst tests/contract/%.c,%,$(wildcard tests/contract/*.c))
qtest_tests := $(patsubst tests/qtest/%.c,%,$(wildcard tests/qtest/*.c))
test_lib_objs := $(patsubst %.c,%.o,$(wildcard tests/lib*.c))
unit_programs := $(unit_tests:%=$(BUILD)/tests/unit/%)
contract_programs := $(contract_tests:%=$(BUILD)/tests/contract/%)
qtest_programs := $(if $(filter tern,$(programs)),$(qtest_tests:%=$(BUILD)/tests/qtest/%))
test_main_objs := $(unit_tests:%=tests/unit/%.o) \
                  $(contract_tests:%=tests/contract/%.o) \
                  $(qtest_tests:%=tests/qtest/%.o)

# ---- all

objs := $(sort $(tern_objs) $(tool_objs) $(foreach p,$(programs),$($(p)_objs)))

.PHONY: all
all: $(objs:%=$(BUILD)/%) $(programs:%=$(BUILD)/%) \
     $(compat_links:%=$(BUILD)/compat/%)

ifdef configured
made_dirs := $(shell mkdir -p $(BUILD)/compat \
    $(sort $(dir $(addprefix $(BUILD)/,$(objs) $(test_main_objs) \
    $(test_lib_objs) schema/x))))
endif

# ---- compile

cflags = -std=gnu11 $(OPT_FLAGS) $(WARN_FLAGS) $(GEN_FLAGS) \
    -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -ffile-prefix-map=$(CURDIR)/= \
    -Iinclude -I$(BUILD) -I. $(GLIB_2_0_CFLAGS) $(PIXMAN_1_CFLAGS) \
    $(foreach u,$(uses-$(1)),$($(u)_CFLAGS)) $(EXTRA_CFLAGS) $(CFLAGS-$(1))

compile = $(CC) $(call cflags,$*.o) -MMD -MP -c -o $@ $<

$(BUILD)/%.o: %.c $(BUILD)/config.flags | $(schema_h)
	$(say) CC $<
	$(Q)$(compile)

$(BUILD)/%.o: %.S $(BUILD)/config.flags | $(schema_h)
	$(say) AS $<
	$(Q)$(compile)

$(BUILD)/schema/schema.o: $(BUILD)/schema/schema.c $(BUILD)/config.flags
	$(say) CC $<
	$(Q)$(CC) $(call cflags,schema/schema.o) -MMD -MP -c -o $@ $<

# Tables from the schema. Equal output keeps its time, so that a changed
# comment does not build everything again.
$(BUILD)/schema/stamp: schema/schema.awk $(schema_src)
	$(say) SCHEMA schema/
	$(Q)mkdir -p $(BUILD)/schema/new
	$(Q)$(AWK) -v out=$(BUILD)/schema/new/schema -f schema/schema.awk $(schema_src)
	$(Q)for f in schema.h schema.c; do \
	    cmp -s $(BUILD)/schema/new/$$f $(BUILD)/schema/$$f || \
	        cp $(BUILD)/schema/new/$$f $(BUILD)/schema/$$f || exit 1; \
	done; touch $@

$(BUILD)/schema/schema.h $(BUILD)/schema/schema.c: $(BUILD)/schema/stamp ;

# ---- link

base_libs := $(GLIB_2_0_LIBS) $(PIXMAN_1_LIBS) $(LIBAIO_LIBS) $(ZLIB_LIBS) \
             $(LIBSECCOMP_LIBS) -lm
libs_of = $(base_libs) $(sort $(foreach o,$(1),$(foreach u,$(uses-$(o)),$($(u)_LIBS))))

define link_program
$(BUILD)/$(1): $($(1)_objs:%=$(BUILD)/%) $(build_mks)
	$$(say) LINK $$@
	$$(Q)$$(CC) $$(LDFLAGS) -o $$@ $$(filter %.o,$$^) $$(call libs_of,$$($(1)_objs))

$(compat_$(1):%=$(BUILD)/compat/%): | $(BUILD)/$(1)
	$$(Q)ln -sfn ../$(1) $$@
endef
$(foreach p,$(programs),$(eval $(call link_program,$(p))))

# Until every folder of the emulator is there its objects name functions that
# nothing defines; a test of one folder does not call them.
ifeq ($(wildcard main.c),)
  test_ldflags := -no-pie -Wl,--unresolved-symbols=ignore-all
endif
# Test programs share their objects' debug sections by not copying them.
test_ldflags += -Wl,-S

# $(1) suite, $(2) name, $(3) objects: all of tern unless the test lists its own
define link_test
$(BUILD)/tests/$(1)/$(2): $(patsubst %,$(BUILD)/%,tests/$(1)/$(2).o $(3)) $(build_mks)
	$$(say) LINK $$@
	$$(Q)$$(CC) $$(LDFLAGS) $$(test_ldflags) -o $$@ $$(filter %.o,$$^) \
	    $$(call libs_of,tests/$(1)/$(2).o $(3))
endef
$(foreach t,$(unit_tests),$(eval $(call link_test,unit,$(t),$(or $(unit-$(t)-objs),$(tern_objs)))))
$(foreach t,$(contract_tests),$(eval $(call link_test,contract,$(t),$(or $(contract-$(t)-objs),$(tern_objs)))))
$(foreach t,$(qtest_tests),$(eval $(call link_test,qtest,$(t),$(test_lib_objs) $(qtest-$(t)-objs))))

# ---- test targets

run_tests = BUILD=$(BUILD) CC="$(PLAIN_CC)" sh tests/run

.PHONY: test-programs check check-quick
test-programs: $(unit_programs) $(contract_programs) $(qtest_programs)

check: all test-programs
	@$(run_tests) lint unit contract qtest block func

check-quick: all $(unit_programs) $(contract_programs)
	@$(run_tests) unit contract

# ---- cleaning

.PHONY: clean distclean
clean:
	rm -rf $(BUILD)/[!c]* $(BUILD)/core $(BUILD)/chardev $(BUILD)/compat

distclean:
	rm -rf $(BUILD) build-asan build-tsan

# ---- header dependencies

ifdef configured
-include $(patsubst %.o,$(BUILD)/%.d,$(objs) $(test_main_objs) $(test_lib_objs))
endif
