mod support;

mod seam;
