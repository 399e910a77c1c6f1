" GSL: graph machine learning in one file.
if exists('b:current_syntax')
  finish
endif

syntax case match
syntax iskeyword @,48-57,_,192-255

syntax keyword gslItem use param graph layer module decoder experiment sweep distill
syntax keyword gslStatement node edge feature label split key reverse time many weight
syntax keyword gslStatement encode predict stage train freeze write allow best
syntax keyword gslWord against as by edges from in into join link of on reconstruct to via with without
syntax keyword gslType dim int float bool text path class classes activation
syntax keyword gslConstant none true false
syntax keyword gslTodo contained TODO FIXME NOTE

" Names of settings and arguments, and what is called.
syntax match gslName /\<\k\+'\?\ze\s*=\%(=\)\@!/
syntax match gslArgument /\<\k\+\ze:/
syntax match gslCall /\<\k\+\ze(/
syntax match gslReduction /\<\%(sum\|mean\|max\|min\|softmax\)\ze\[/
syntax match gslTimes /\s\zsx\ze\s/

syntax match gslNumber /\<\d[0-9_]*\%(\.\d\+\)\?\%([eE][+-]\?\d\+\)\?/ nextgroup=gslUnit skipwhite
syntax match gslUnit contained /%\|\%(epochs\?\|batch\%(es\)\?\|years\?\|months\?\|weeks\?\|days\?\|hours\?\|minutes\?\|seconds\?\|min\|ms\|h\|s\|[KMGT]i\?B\|B\)\>/
syntax match gslOperator /|>\|>>\|\.\.\|==\|!=\|<=\|>=\|[-+*\/@^<>=]/
syntax match gslArrow /-\%(\[\k\+\]\|\k\+\)\?->/

syntax region gslString start=/"/ skip=/\\./ end=/"/ oneline contains=gslEscape
syntax match gslEscape contained /\\[nt"\\]/
syntax match gslQuoted /`[^`]\+`/

syntax match gslComment +//.*$+ contains=gslTodo
syntax match gslDoc +//\%(/\|!\).*$+ contains=gslTodo

highlight default link gslItem Keyword
highlight default link gslStatement Keyword
highlight default link gslWord Keyword
highlight default link gslType Type
highlight default link gslConstant Constant
highlight default link gslTodo Todo
highlight default link gslName Identifier
highlight default link gslArgument Identifier
highlight default link gslCall Function
highlight default link gslReduction Operator
highlight default link gslTimes Operator
highlight default link gslNumber Number
highlight default link gslUnit Special
highlight default link gslOperator Operator
highlight default link gslArrow Special
highlight default link gslString String
highlight default link gslEscape SpecialChar
highlight default link gslQuoted Identifier
highlight default link gslComment Comment
highlight default link gslDoc SpecialComment

let b:current_syntax = 'gsl'
