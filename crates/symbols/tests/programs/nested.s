# Debug info of a million inlined functions, each inside the one before: a parser that recurses needs as much stack.
# Assembled by tests/hostile.rs.
  .text
  .globl main
  .type main, @function
main:
.Lbegin:
  xor %eax, %eax
  ret
.Lend:
  .size main, .-main
  .section .debug_abbrev,"",@progbits
  .uleb128 1                    # compile unit, with children
  .uleb128 0x11
  .byte 1
  .uleb128 0x11, 0x01           # low_pc
  .uleb128 0x12, 0x07           # high_pc
  .byte 0, 0
  .uleb128 2                    # subprogram, with children
  .uleb128 0x2e
  .byte 1
  .uleb128 0x03, 0x08           # name
  .uleb128 0x11, 0x01
  .uleb128 0x12, 0x07
  .byte 0, 0
  .uleb128 3                    # inlined subroutine, with children, without anything else
  .uleb128 0x1d
  .byte 1
  .byte 0, 0
  .byte 0
  .section .debug_info,"",@progbits
  .long .Linfo_end - .Linfo
.Linfo:
  .short 4
  .long 0
  .byte 8
  .uleb128 1
  .quad .Lbegin
  .quad .Lend - .Lbegin
  .uleb128 2
  .asciz "claims_a_million"
  .quad .Lbegin
  .quad .Lend - .Lbegin
  .rept 1000000
  .byte 3
  .endr
  .rept 1000002
  .byte 0
  .endr
.Linfo_end:
  .section .note.GNU-stack,"",@progbits
